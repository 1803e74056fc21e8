"""predictions/pages/controls.py"""

from typing import Any

import pytest
from django import forms
from django.http import QueryDict
from lxml import html

from predictions.pages.controls import CONTROLS, widget_for
from tests.predictions.pages.test_questions import question

LIMITED = {"type": "number", "minimum": 0, "maximum": 10}
SMALL = {"enum": ["a", "b"]}


def kind(widget: forms.Widget) -> str:
    return getattr(widget, "input_type", "textarea")


def shown(widget: forms.Widget, text: str | None) -> Any:
    return html.fragment_fromstring(widget.render("age", text), create_parent=True)


@pytest.mark.parametrize(
    ("node", "required", "usual"),
    [
        ({"type": "number"}, True, "number"),
        ({"type": "integer"}, True, "number"),
        (SMALL, True, "select"),
        ({"enum": [1, 2]}, True, "select"),
        ({"type": "string", "x-training-values": ["a"]}, True, "select"),
        ({"type": "boolean"}, True, "checkbox"),
        ({"type": "boolean", "default": True}, False, "checkbox"),
        ({"type": "boolean"}, False, "select"),
        ({"type": ["boolean", "null"]}, True, "select"),
        ({"type": "string"}, True, "text"),
        ({"type": "string", "maxLength": 500}, True, "textarea"),
        ({"type": "string", "format": "date"}, True, "date"),
        ({"type": "string", "format": "date-time"}, True, "datetime-local"),
        ({"type": "string", "format": "date-time", "x-dtype": "datetime64[us, UTC]"}, True, "text"),
    ],
)
def test_it_picks_the_usual_control_of_a_column(node: dict[str, Any], required: bool, usual: str) -> None:
    assert kind(widget_for(question(node, required=required), None)) == usual


@pytest.mark.parametrize(
    ("name", "node", "rendered"),
    [
        ("number", LIMITED, "number"),
        ("range", LIMITED, "range"),
        ("select", SMALL, "select"),
        ("radio", SMALL, "radio"),
        ("checkbox", {"type": "boolean"}, "checkbox"),
        ("text", {"type": "string"}, "text"),
        ("textarea", {"type": "string"}, "textarea"),
        ("date", {"type": "string", "format": "date"}, "date"),
    ],
)
def test_it_makes_the_configured_control(name: str, node: dict[str, Any], rendered: str) -> None:
    assert kind(widget_for(question(node, widget=name), None)) == rendered


def test_it_knows_every_widget_of_a_form_configuration() -> None:
    from typing import get_args

    from registry.schema.form_config import Widget

    assert set(CONTROLS) == set(get_args(Widget))


@pytest.mark.parametrize(
    ("name", "node", "instead"),
    [
        ("range", {"type": "number"}, "number"),
        ("select", {"type": "number"}, "number"),
        ("radio", {"type": "string"}, "text"),
        ("number", {"type": "string"}, "text"),
        ("date", {"type": "number"}, "text"),
        ("checkbox", {"enum": ["a", "b", "c"]}, "select"),
        ("checkbox", {"type": "string"}, "text"),
    ],
)
def test_it_replaces_a_control_that_cannot_ask_for_the_column(name: str, node: dict[str, Any], instead: str) -> None:
    assert kind(widget_for(question(node, widget=name), None)) == instead


@pytest.mark.parametrize(
    ("config", "node", "text", "instead"),
    [
        ({"widget": "range"}, LIMITED, "10.5", "number"),
        ({"widget": "range", "step": 2}, LIMITED, "3", "number"),
        ({"widget": "range"}, LIMITED, "ten", "text"),
        ({"widget": "number"}, LIMITED, "ten", "text"),
        ({"widget": "number"}, LIMITED, "nan", "text"),
        ({"widget": "date"}, {"type": "string", "format": "date"}, "31.1.2026", "text"),
        ({"widget": "date"}, {"type": "string", "format": "date-time"}, "2026-01-31T12:00:00+01:00", "text"),
        ({"widget": "checkbox"}, {"type": ["boolean", "null"]}, "", "select"),
        ({"widget": "text"}, {"type": "string"}, "two\nlines", "textarea"),
    ],
)
def test_it_replaces_a_control_that_would_lose_the_value(
    config: dict[str, Any], node: dict[str, Any], text: str, instead: str
) -> None:
    assert kind(widget_for(question(node, **config), text)) == instead


def test_it_limits_a_number() -> None:
    widget = widget_for(question(LIMITED, max=5, step=0.5, placeholder="2.5"), None)

    (field,) = shown(widget, None)
    assert {name: field.get(name) for name in ("min", "max", "step", "placeholder")} == {
        "min": "0",
        "max": "5",
        "step": "0.5",
        "placeholder": "2.5",
    }
    assert "required" in field.attrib


@pytest.mark.parametrize(("text", "step"), [(None, "25"), ("3475", "25"), ("3480", "any")])
def test_it_does_not_insist_on_steps_that_a_value_does_not_keep(text: str | None, step: str) -> None:
    mass = question({"type": "number"}, min=1500, step=25)

    (field,) = shown(widget_for(mass, text), text)

    assert field.get("step") == step


@pytest.mark.parametrize(("kind", "step"), [("integer", "1"), ("number", "any")])
def test_it_steps_by_the_type(kind: str, step: str) -> None:
    (field,) = shown(widget_for(question({"type": kind}), None), None)

    assert field.get("step") == step


@pytest.mark.parametrize(
    ("node", "required", "text", "options"),
    [
        ({"enum": ["a", "b", None]}, True, None, ["— not known —", "a", "b"]),
        ({"enum": ["a", "b", None]}, True, "b", ["— not known —", "a", "b"]),
        (SMALL, False, "b", ["— not given —", "a", "b"]),
        (SMALL, True, None, ["— choose —", "a", "b"]),
        (SMALL, True, "b", ["a", "b"]),
        (SMALL, True, "c", ["a", "b", "c (not one of the choices)"]),
    ],
)
def test_it_offers_an_empty_choice_where_one_is_meant(
    node: dict[str, Any], required: bool, text: str | None, options: list[str]
) -> None:
    select = shown(widget_for(question(node, required=required), text), text)[0]

    assert [option.text_content().strip() for option in select] == options
    assert [option.text_content()[:1] for option in select if option.get("selected") is not None] == (
        [text] if text else [option[:1] for option in options if option.startswith("—")]
    )


def test_it_offers_not_known_among_radios() -> None:
    widget = widget_for(question({"enum": ["a", "b", None]}, widget="radio"), None)

    radios = shown(widget, None).xpath(".//input")
    assert [(radio.get("value"), radio.get("checked") is not None) for radio in radios] == [
        ("a", False),
        ("b", False),
        ("", True),
    ]


@pytest.mark.parametrize(
    ("node", "unchecked", "checked"),
    [
        ({"type": "boolean"}, "false", "true"),
        ({"type": "integer"}, "0", "1"),
        ({"enum": ["no", "yes"]}, "no", "yes"),
    ],
)
def test_it_reads_a_checkbox_as_one_of_two_values(node: dict[str, Any], unchecked: str, checked: str) -> None:
    widget = widget_for(question(node, widget="checkbox"), None)

    assert widget.value_from_datadict(QueryDict(""), {}, "age") == unchecked  # type: ignore[arg-type]
    for text in ("on", checked):
        assert widget.value_from_datadict(QueryDict(f"age={text}"), {}, "age") == checked  # type: ignore[arg-type]
    assert widget.value_from_datadict(QueryDict(f"age={unchecked}"), {}, "age") == unchecked  # type: ignore[arg-type]
    assert shown(widget, checked)[0].get("checked") is not None
    assert shown(widget, unchecked)[0].get("checked") is None


def test_it_reads_a_slider_with_its_checkbox_as_not_known() -> None:
    widget = widget_for(question({**LIMITED, "type": ["number", "null"]}, widget="range"), "5")

    assert widget.value_from_datadict(QueryDict("age=5"), {}, "age") == "5"  # type: ignore[arg-type]
    assert widget.value_from_datadict(QueryDict("age=5&age-unknown=on"), {}, "age") == ""  # type: ignore[arg-type]
