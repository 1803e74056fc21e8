from typing import Any

import pytest

from mlserve.errors import BadUpload
from registry.schema.form_config import checked_form_config, parse_form_config
from tests.pipelines import EXAMPLE

COLUMNS = ["age", "city"]


def sections(*fields: dict[str, Any]) -> dict[str, Any]:
    return {"sections": [{"fields": list(fields)}]}


def test_it_accepts_the_example() -> None:
    raw = parse_form_config((EXAMPLE / "form.json").read_text("utf-8"))
    names = [field["name"] for section in raw["sections"] for field in section["fields"]]

    config = checked_form_config(raw, names)

    assert config.submit_label == "Tell the species"
    assert config.result.labels["Gentoo"] == "a gentoo penguin"


def test_it_accepts_an_empty_configuration() -> None:
    assert checked_form_config({}, COLUMNS).sections == []


@pytest.mark.parametrize("text", ["", "[]", "3", "{", '{"title": NaN}', '{"x": 1e999}', '{"title": "\\u0000"}'])
def test_it_refuses_what_is_no_json_object(text: str) -> None:
    with pytest.raises(BadUpload, match="form configuration"):
        parse_form_config(text)


@pytest.mark.parametrize(
    ("raw", "where"),
    [
        ({"titel": "x"}, "titel"),
        ({"title": 3}, "title"),
        ({"title": "x" * 2001}, "title"),
        ({"sections": None}, "sections"),
        ({"sections": [{}]}, "sections.0.fields"),
        (sections({"label": "Age"}), "sections.0.fields.0.name"),
        (sections({"name": "age", "widget": "slider"}), "sections.0.fields.0.widget"),
        (sections({"name": "age", "min": "low"}), "sections.0.fields.0.min"),
        (sections({"name": "age", "step": 0}), "sections.0.fields.0.step"),
        (sections({"name": "age", "choices": "a"}), "sections.0.fields.0.choices"),
        ({"result": {"labels": ["a"]}}, "result.labels"),
    ],
    ids=lambda value: value if isinstance(value, str) else str(value)[:20],
)
def test_it_names_the_part_at_fault(raw: dict[str, Any], where: str) -> None:
    with pytest.raises(BadUpload) as refusal:
        checked_form_config(raw, COLUMNS)

    assert f"{where}: " in refusal.value.detail


def test_it_names_every_part_at_fault() -> None:
    with pytest.raises(BadUpload) as refusal:
        checked_form_config({"titel": "x", "colour": "red"}, COLUMNS)

    assert "titel: " in refusal.value.detail
    assert "colour: " in refusal.value.detail


def test_it_refuses_fields_that_are_no_columns() -> None:
    with pytest.raises(BadUpload, match=r"names agee, town, which the schema lacks\. Its columns: age, city\."):
        checked_form_config(sections({"name": "agee"}, {"name": "town"}, {"name": "age"}), COLUMNS)


def test_it_refuses_a_field_that_is_asked_for_twice() -> None:
    with pytest.raises(BadUpload, match="asks for age more than once"):
        checked_form_config(sections({"name": "age"}, {"name": "city"}, {"name": "age"}), COLUMNS)


def test_it_names_some_of_many_columns() -> None:
    columns = [f"column{number}" for number in range(20_000)]
    raw = sections(*({"name": f"other{number}"} for number in range(20_000)))

    with pytest.raises(BadUpload, match=r"other19 and 19,980 more, .* column19 and 19,980 more\.") as refusal:
        checked_form_config(raw, columns)

    assert len(refusal.value.detail) < 600


def test_it_leaves_a_multitude_of_choices_to_the_schema() -> None:
    with pytest.raises(BadUpload, match=r"has 1,001 choices for city, at most 1,000 .* Leave them out"):
        checked_form_config(sections({"name": "city", "choices": list(range(1_001))}), COLUMNS)
