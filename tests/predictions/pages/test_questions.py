"""predictions/pages/questions.py"""

from typing import Any

import pytest

from predictions.pages.questions import Question, humanised, sections_of, text_of
from registry.schema.form_config import FormConfig
from registry.schema.record import RecordSchema


def question(node: dict[str, Any], *, required: bool = True, **config: Any) -> Question:
    raw = {"type": "object", "properties": {"age": node}, "required": ["age"] if required else []}
    form = {"sections": [{"fields": [{"name": "age", **config}]}]}
    (section,) = sections_of(RecordSchema.from_json_schema(raw), FormConfig.model_validate(form))
    return section.questions[0]


def answered(question: Question, text: str) -> dict[str, Any]:
    record: dict[str, Any] = {}
    question.add_answer(text, record)
    return record


def test_it_keeps_the_order_of_sections_and_adds_what_they_leave_out() -> None:
    raw = {"type": "object", "properties": {name: {"type": "number"} for name in ("a", "b", "c", "d")}}
    form = {
        "sections": [{"title": "Last first", "fields": [{"name": "d"}]}, {"title": "Then", "fields": [{"name": "b"}]}]
    }

    sections = sections_of(RecordSchema.from_json_schema(raw), FormConfig.model_validate(form))

    assert [(section.title, [each.name for each in section.questions]) for section in sections] == [
        ("Last first", ["d"]),
        ("Then", ["b"]),
        ("More", ["a", "c"]),
    ]


def test_it_needs_no_configuration() -> None:
    raw = {"type": "object", "properties": {"a": {"type": "number"}}}

    (section,) = sections_of(RecordSchema.from_json_schema(raw), FormConfig())

    assert (section.title, [each.label for each in section.questions]) == ("", ["A"])


@pytest.mark.parametrize(
    ("node", "config", "label"),
    [
        ({"type": "number"}, {}, "Age"),
        ({"type": "number", "title": "Years"}, {}, "Years"),
        ({"type": "number", "title": "Years"}, {"label": "Winters"}, "Winters"),
    ],
)
def test_it_takes_the_label_of_the_nearest_source(node: dict[str, Any], config: dict[str, Any], label: str) -> None:
    assert question(node, **config).label == label


@pytest.mark.parametrize(
    ("node", "limits"),
    [
        ({}, ""),
        ({"x-training-range": [13.0, 93.0], "minimum": 0}, "Training range 13–93."),
        ({"minimum": 20, "maximum": 80.5}, "Allowed: 20 to 80.5."),
        ({"minimum": 0}, "Allowed: at least 0."),
        ({"exclusiveMinimum": 0}, "Allowed: more than 0."),
        ({"maximum": 9}, "Allowed: at most 9."),
        ({"exclusiveMaximum": 9}, "Allowed: less than 9."),
        ({"x-training-usual": [43.854651, 5.4]}, "Around 43.85 in training."),
    ],
)
def test_it_tells_the_limits_of_a_number(node: dict[str, Any], limits: str) -> None:
    assert question({"type": "number", **node}).limits == limits


def test_it_tells_what_the_schema_allows_even_when_the_control_is_narrower() -> None:
    narrow = question({"type": "number", "minimum": 120, "maximum": 300}, min=160, max=240)

    assert (narrow.limits, narrow.minimum, narrow.maximum) == ("Allowed: 120 to 300.", 160, 240)


@pytest.mark.parametrize(
    ("node", "text", "value"),
    [
        ({"type": "integer"}, "39", 39),
        ({"type": "number"}, " 39.5 ", 39.5),
        ({"type": "number"}, "much", "much"),
        ({"type": "string"}, " State-gov", " State-gov"),
        ({"type": "boolean"}, "true", True),
        ({"enum": [1, 2, 3]}, "2", 2),
        ({"enum": [0.5, 1.5]}, "1.5", 1.5),
        ({"enum": [True, False]}, "false", False),
        ({"enum": ["1", "2"]}, "2", "2"),
        ({"enum": ["", "x"]}, '""', ""),
    ],
)
def test_it_turns_text_into_the_value_that_the_schema_asks_for(node: dict[str, Any], text: str, value: Any) -> None:
    record = answered(question(node), text)

    assert record == {"age": value}
    assert type(record["age"]) is type(value)


@pytest.mark.parametrize(
    ("node", "required", "record"),
    [
        ({"type": ["number", "null"]}, True, {"age": None}),
        ({"type": ["number", "null"], "default": 5}, False, {"age": None}),
        ({"type": "number"}, False, {}),
        ({"type": "number"}, True, {}),
    ],
)
def test_it_takes_an_empty_text_as_null_or_as_absent(
    node: dict[str, Any], required: bool, record: dict[str, Any]
) -> None:
    assert answered(question(node, required=required), "  ") == record


@pytest.mark.parametrize(
    ("configured", "choices"),
    [
        (None, [("1", "1", 1), ("2", "2", 2)]),
        ([2], [("2", "2", 2)]),
        (["2"], [("2", "2", 2)]),
        ([[1, "one"], [2]], [("1", "one", 1), ("2", "2", 2)]),
        ([{"value": 1, "label": "one"}], [("1", "one", 1)]),
    ],
)
def test_it_offers_the_configured_choices_else_those_of_the_schema(configured: Any, choices: list[Any]) -> None:
    offered = question({"enum": [1, 2, None]}, choices=configured).choices

    assert [(choice.text, choice.label, choice.value) for choice in offered] == choices


def test_it_offers_the_values_seen_in_training() -> None:
    offered = question({"type": "string", "x-training-values": ["Bern", "Basel"]}).choices

    assert [choice.value for choice in offered] == ["Bern", "Basel"]


def test_it_words_the_choices_of_a_boolean() -> None:
    offered = question({"type": ["boolean", "null"]}).choices

    assert [(choice.text, choice.label) for choice in offered] == [("true", "Yes"), ("false", "No")]


@pytest.mark.parametrize(
    ("node", "config", "initial"),
    [
        ({"default": 5}, {}, 5),
        ({"default": 5}, {"initial": 6}, 6),
        ({"default": 5}, {"initial": None}, None),
        ({}, {}, None),
    ],
)
def test_it_begins_with_the_configured_value_else_the_default(
    node: dict[str, Any], config: dict[str, Any], initial: Any
) -> None:
    assert question({"type": ["integer", "null"], **node}, **config).initial == initial


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), ("", ""), ("a", "a"), (True, "true"), (39, "39"), (39.0, "39"), (0.1, "0.1"), (1e300, "1e+300")],
)
def test_it_writes_values_as_text(value: Any, text: str) -> None:
    assert text_of(value) == text


@pytest.mark.parametrize(
    ("name", "words"),
    [("bill_length_mm", "Bill length mm"), ("hours-per-week", "Hours per week"), ("MedInc", "MedInc"), ("_", "_")],
)
def test_it_makes_words_of_a_name(name: str, words: str) -> None:
    assert humanised(name) == words


def test_it_suggests_less_for_each_of_many_long_columns() -> None:
    """The page of a thousand columns with a hundred values each must not list them all."""
    node = {"enum": [f"value {number}" for number in range(100)]}
    raw = {"type": "object", "properties": {f"column{number}": node for number in range(1_000)}}

    (section,) = sections_of(RecordSchema.from_json_schema(raw), FormConfig())

    assert sum(question.is_long for question in section.questions) > 900
    assert sum(len(question.choices) + len(question.suggestions) for question in section.questions) < 3_000


def test_it_takes_a_typed_value_of_a_long_list() -> None:
    asked = question({"type": "number", "enum": [number + 0.5 for number in range(400)]})

    assert (asked.is_long, asked.choices, len(asked.suggestions)) == (True, (), 50)
    assert answered(asked, "7.5") == {"age": 7.5}
    assert asked.text_for(7.5) == "7.5"


@pytest.mark.parametrize("widget", ["select", "radio", None])
def test_it_lists_what_is_not_too_long(widget: str | None) -> None:
    asked = question({"enum": [f"value {number}" for number in range(300)]}, widget=widget)

    assert (asked.is_long, len(asked.choices), asked.suggestions) == (False, 300, ())
