"""What a refusal costs. Each body is of the largest size that a server takes, or what it says is proven by count."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from mlserve.errors import InvalidRows
from registry.schema import options
from registry.schema.record import RecordSchema
from registry.schema.row_errors import MAX_LISTED_ERRORS

PLACES = [f"place {number}" for number in range(70_000)]
# Seconds of processor time; without the bounds each of the bodies takes from four to thousands of seconds.
PATIENCE = 6.0


@contextmanager
def soon() -> Iterator[None]:
    started = time.process_time()
    yield
    assert time.process_time() - started < PATIENCE


def schema_of(properties: dict[str, Any], required: Any = ()) -> RecordSchema:
    return RecordSchema.from_json_schema({"type": "object", "properties": properties, "required": list(required)})


def refusal_of(schema: RecordSchema, payload: Any) -> InvalidRows:
    with pytest.raises(InvalidRows) as refusal:
        schema.validated(payload)
    assert len(refusal.value.errors) <= MAX_LISTED_ERRORS
    return refusal.value


@pytest.mark.parametrize(
    ("values", "wrong"),
    [(PLACES, lambda number: f"plaze {number}"), ([number + 0.5 for number in range(70_000)], lambda number: number)],
    ids=["texts", "numbers"],
)
def test_it_refuses_many_values_that_are_none_of_many(values: list[Any], wrong: Callable[[int], Any]) -> None:
    schema = schema_of({"a": {"enum": values}, "b": {"enum": values}})

    with soon():
        refused = refusal_of(schema, [{"a": wrong(number), "b": wrong(number)} for number in range(50_000)])

    assert refused.total == 100_000


def test_it_finds_a_number_among_many() -> None:
    numbers = [number + 0.5 for number in range(70_000)]
    schema = schema_of({"a": {"enum": numbers}})

    with soon():
        assert schema.validated([{"a": number} for number in numbers])


def test_it_finds_what_training_did_not_see_among_many() -> None:
    schema = schema_of({"a": {"type": "string", "x-training-values": PLACES}})

    with soon():
        (warning,) = schema.training_warnings([{"a": PLACES[-1]}] * 50_000 + [{"a": "Atlantis"}])

    assert warning.as_json() == {"row": 50_000, "column": "a", "detail": "'Atlantis' was not seen in training"}


def test_it_does_not_copy_a_row_for_each_missing_column() -> None:
    columns = [f"c{number}" for number in range(100)]
    schema = schema_of({name: {"type": "number"} for name in ["a", *columns]}, columns)

    with soon():
        refused = refusal_of(schema, {"a": list(range(700_000)), "c0": 0})

    assert [refused.errors[0].detail, refused.errors[1].detail] == ["must be a number", "is required"]
    assert refused.total == 100


def test_it_counts_missing_columns_by_the_rows_alone() -> None:
    columns = [f"c{number}" for number in range(5_000)]

    with soon():
        refused = refusal_of(schema_of({name: {"type": "number"} for name in columns}, columns), [{}] * 50_000)

    assert refused.total == 50_000 * 5_000


def test_it_names_a_multitude_of_unknown_columns() -> None:
    columns = {f"column {number}": {"type": "number"} for number in range(5_000)}

    with soon():
        refused = refusal_of(schema_of(columns), {f"Kolumn {number}": 1 for number in range(300_000)})

    assert refused.total == 300_000


def test_it_compares_a_few_wrong_texts_of_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []

    def close_matches(value: str, *_: Any, **__: Any) -> list[str]:
        compared.append(value)
        return []

    monkeypatch.setattr(options, "get_close_matches", close_matches)

    refusal_of(schema_of({"a": {"enum": PLACES[:200]}}), [{"a": f"plaze {number}"} for number in range(90)])

    assert compared == [f"plaze {number}" for number in range(3)]


def test_it_still_says_what_differs_in_case_only() -> None:
    refused = refusal_of(schema_of({"a": {"enum": PLACES}}), [{"a": "Place 69999"}] * 50)

    assert {error.detail.split("; ")[1] for error in refused.errors} == {"did you mean 'place 69999'?"}
