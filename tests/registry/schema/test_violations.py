from typing import Any

import pytest

from mlserve.errors import InvalidRows
from registry.schema.record import RecordSchema
from registry.schema.violations import any_of, pointer, type_sentence


@pytest.mark.parametrize(
    ("names", "text"), [(["a"], "a"), (["a", "b"], "a or b"), (["a", "b", "c"], "a, b or c")], ids=str
)
def test_it_joins_names(names: list[str], text: str) -> None:
    assert any_of(names) == text


def test_it_says_null_last() -> None:
    assert type_sentence(["null", "number"]) == "must be a number or null"


def test_it_points_at_the_whole_document() -> None:
    assert pointer() == "#"


@pytest.mark.parametrize(
    ("node", "value", "detail"),
    [
        ({"type": "number", "multipleOf": 0.5}, 0.7, "must be a multiple of 0.5"),
        ({"type": "number", "exclusiveMaximum": 5}, 5, "must be less than 5"),
        ({"type": "string", "minLength": 3}, "ab", "must have at least 3 characters"),
        ({"type": "string", "maxLength": 3}, "abcd", "must have at most 3 characters"),
        ({"type": "string", "pattern": "^[A-Z]+$"}, "ab", "must match the pattern ^[A-Z]+$"),
        ({"type": "string", "format": "email"}, "ab", "must be email"),
        ({"type": "string", "not": {"const": "ab"}}, "ab", "is not allowed"),
    ],
    ids=str,
)
def test_it_speaks_of_each_keyword(node: dict[str, Any], value: Any, detail: str) -> None:
    schema = RecordSchema.from_json_schema({"type": "object", "properties": {"a": node}})

    with pytest.raises(InvalidRows) as refusal:
        schema.validated({"a": value})

    assert detail in refusal.value.errors[0].detail


def test_it_shows_some_of_many_choices_and_the_close_one() -> None:
    node = {"enum": [f"value{index}" for index in range(40)]}
    schema = RecordSchema.from_json_schema({"type": "object", "properties": {"a": node}})

    with pytest.raises(InvalidRows) as refusal:
        schema.validated({"a": "valu39"})

    detail = refusal.value.errors[0].detail
    assert "'value11' (and 28 more)" in detail
    assert detail.endswith("; did you mean 'value39'?")


def test_it_does_not_guess_for_a_whole_novel() -> None:
    schema = RecordSchema.from_json_schema({"type": "object", "properties": {"a": {"enum": ["Bern"]}}})

    with pytest.raises(InvalidRows) as refusal:
        schema.validated({"a": "Bern" * 100_000})

    assert len(refusal.value.errors[0].detail) < 100
