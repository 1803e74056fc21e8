"""What comparing with patterns costs: a little for each text, and for a request no more than its effort."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from mlserve.errors import BadUpload, InvalidRows
from registry.schema.record import Column, RecordSchema

LOOKS_AROUND = "^((?!x)a+)+$"
# Each text takes long, and none so long that the engine gives up.
BACK_AND_FORTH = r"(?=(\w+\s?)+$)\w"
VERY_LARGE = "^[ab]*a[ab]{3000}$"
# Seconds of processor time. Without the bounds, each of these bodies takes from five seconds to two minutes.
PATIENCE = 6.0


@contextmanager
def soon() -> Iterator[None]:
    started = time.process_time()
    yield
    assert time.process_time() - started < PATIENCE


def schema_of(pattern: str, **more: Any) -> RecordSchema:
    node = {"type": "string", "pattern": pattern, **more}
    return RecordSchema.from_json_schema({"type": "object", "properties": {"a": node}})


def refusal_of(schema: RecordSchema, payload: Any) -> InvalidRows:
    with pytest.raises(InvalidRows) as refusal:
        schema.validated(payload)
    return refusal.value


@pytest.mark.parametrize("pattern", [LOOKS_AROUND, BACK_AND_FORTH, VERY_LARGE, r"^(a+)+\1$", "(?=a)(a*)*b"])
@pytest.mark.parametrize(
    "texts",
    [["a" * 2_000_000 + "!"], ["a" * 950 + "!"] * 5_000, ["a" * 200 + "!"] * 25_000, ["aab" * 3_000] * 500],
    ids=["long", "many", "short", "nearly"],
)
def test_it_refuses_hostile_texts_soon(pattern: str, texts: list[str]) -> None:
    schema = schema_of(pattern)

    with soon():
        refused = refusal_of(schema, [{"a": text} for text in texts])

    assert refused.total >= len(texts)


def test_it_says_when_the_texts_of_a_request_take_too_long_together() -> None:
    refused = refusal_of(schema_of(VERY_LARGE), [{"a": "aab" * 3_000}] * 90)

    assert "send fewer rows at a time" in refused.errors[-1].detail


def test_it_compares_as_many_texts_as_a_body_holds_with_a_pattern_that_looks_ahead() -> None:
    rows = [{"a": f"secret {number:022}"} for number in range(50_000)]

    assert schema_of(r"^(?=.*\d)(?!.*--).{8,}$").validated(rows) == rows


@pytest.mark.parametrize(
    ("pattern", "most"), [("^(a+)+$", None), (r"^\w{1,100}$", None), ("(?=a)b", 1_000), (VERY_LARGE, 10_000)]
)
def test_it_bounds_the_text_where_the_engine_may_take_long(pattern: str, most: int | None) -> None:
    schema = schema_of(pattern)

    assert schema.properties["a"].get("maxLength") == most


def test_it_bounds_the_text_of_a_schema_that_was_stored_without() -> None:
    node = {"type": "string", "pattern": "(?=a)a*"}
    stored = {"type": "object", "properties": {"a": node}, "required": [], "additionalProperties": False}
    schema = RecordSchema(stored, (Column("a", "str"),))

    refused = refusal_of(schema, {"a": "a" * 1_001})

    assert [error.detail for error in refused.errors] == ["must have at most 1000 characters"]


def test_it_keeps_a_stricter_bound() -> None:
    assert schema_of("(?=a)a*", maxLength=5).properties["a"]["maxLength"] == 5


def test_it_finds_the_options_of_a_column_with_a_slow_pattern() -> None:
    schema = schema_of("(?=a)", enum=[f"a{number}" for number in range(70)])

    assert schema.validated({"a": "a69"}) == [{"a": "a69"}]
    assert "a0" in refusal_of(schema, {"a": "a70"}).errors[0].detail


@pytest.mark.parametrize("pattern", [LOOKS_AROUND, r"^(?:(?!;)\w+\s?)*$", r"^(?:(?!;)\d+)*z$"])
def test_it_finds_a_text_that_takes_too_long(pattern: str) -> None:
    with soon():
        assert set(schema_of(pattern).slow_texts()) == {"a"}


@pytest.mark.parametrize("pattern", ["^(a+)+$", r"^(?=.*[A-Z])(?=.*\d).{8,}$", r"^(\w+)-\1$", "(?<=a)b"])
def test_it_finds_no_fault_in_others(pattern: str) -> None:
    assert schema_of(pattern).slow_texts() == {}


@pytest.mark.parametrize("pattern", ["(", r"(?=a)\1("])
def test_it_refuses_what_is_no_pattern(pattern: str) -> None:
    with pytest.raises(BadUpload, match="schema"):
        schema_of(pattern)
