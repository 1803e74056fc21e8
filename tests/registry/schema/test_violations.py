from typing import Any

import pytest

from mlserve.errors import InvalidRows
from registry.schema.record import RecordSchema
from registry.schema.violations import pointer, type_sentence


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


def test_it_says_that_a_pattern_gave_up() -> None:
    """The engine stops after a million steps, and names no pattern then."""
    node = {"type": "string", "pattern": "^((?!x)a+)+$"}
    schema = RecordSchema.from_json_schema({"type": "object", "properties": {"a": node}})

    with pytest.raises(InvalidRows) as refusal:
        schema.validated({"a": "a" * 40 + "!"})

    assert refusal.value.errors[0].detail == "takes too long to compare with its pattern"


@pytest.mark.parametrize(
    "node",
    [{"type": "string", "pattern": "b" * 1_000}, {"type": "string", "not": {"type": "string"}}],
    ids=["long", "not"],
)
def test_it_repeats_no_long_text(node: dict[str, Any]) -> None:
    schema = RecordSchema.from_json_schema({"type": "object", "properties": {"a": node}})

    with pytest.raises(InvalidRows) as refusal:
        schema.validated({"a": "a" * 100_000})

    assert len(refusal.value.errors[0].detail) < 400
