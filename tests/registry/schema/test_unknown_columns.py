"""Columns that a model does not have: one error for each, or ignored with a warning where somebody says so."""

import time
from typing import Any

import pytest

from mlserve.errors import InvalidRows
from registry.schema.record import MAX_LISTED_WARNINGS, RecordSchema

RAW = {
    "type": "object",
    "properties": {"height": {"type": "number"}, "city": {"enum": ["Bern", "Chur"]}},
    "required": ["height"],
}
SCHEMA = RecordSchema.from_json_schema(RAW)
OPEN = RecordSchema.from_json_schema({**RAW, "additionalProperties": True})
DROPPING = RecordSchema.from_json_schema({**RAW, "x-ignored": {"id": 0}})
NOT_ONE = "is not a column of this model"
IGNORED = f"{NOT_ONE} and was ignored"


def refused(payload: Any, schema: RecordSchema = SCHEMA) -> tuple[dict[str, str], int]:
    with pytest.raises(InvalidRows) as refusal:
        schema.validated(payload)
    return {error.pointer: error.detail for error in refusal.value.errors}, refusal.value.total


def warned(payload: Any, schema: RecordSchema = SCHEMA) -> list[tuple[int, str, str]]:
    _, warnings = schema.without_unknown(payload)
    return [(warning.row, warning.column, warning.detail) for warning in warnings]


def test_it_is_one_error_for_each_column() -> None:
    rows = [{"height": 1}, {"height": 1, "id": 1, "Hieght": 2}, {"height": "x", "id": 2}, {"height": 1, "id": 3}]

    errors, total = refused(rows)

    assert errors == {
        "#/1/id": f"{NOT_ONE} (in 3 rows)",
        "#/1/Hieght": f"{NOT_ONE}; did you mean 'height'?",
        "#/2/height": "must be a number",
    }
    assert total == 3


def test_it_lists_what_else_is_wrong_beside_a_column_of_all_rows() -> None:
    errors, total = refused([{"id": 1, "height": 1}] * 5_000 + [{"height": "tall"}])

    assert errors == {"#/0/id": f"{NOT_ONE} (in 5,000 rows)", "#/5000/height": "must be a number"}
    assert total == 2


def test_it_counts_each_of_very_many_once() -> None:
    row = {"height": 1, **{f"x{number}": 1 for number in range(300)}}

    errors, total = refused([row, row])

    assert (len(errors), total) == (100, 300)
    assert set(errors.values()) == {f"{NOT_ONE} (in 2 rows)"}


@pytest.mark.parametrize("wrap", [lambda row: row, lambda row: [row, row]], ids=["record", "list"])
def test_it_leaves_out_what_the_caller_has_too_much(wrap: Any) -> None:
    known, warnings = SCHEMA.without_unknown(wrap({"height": 1, "Hieght": 2, "name": "Ada"}))

    assert known == wrap({"height": 1})
    assert [warning.as_json() for warning in warnings] == [
        {"row": 0, "column": "Hieght", "detail": f"{IGNORED}; did you mean 'height'?"},
        {"row": 0, "column": "name", "detail": IGNORED},
    ]


def test_it_names_the_first_row_that_has_the_column() -> None:
    assert warned([{"height": 1}, {"height": 1, "b": 1}, {"height": 1, "a": 1, "b": 1}]) == [
        (1, "b", IGNORED),
        (2, "a", IGNORED),
    ]


def test_it_says_nothing_of_columns_that_training_had() -> None:
    assert DROPPING.without_unknown([{"id": 1, "height": 1}]) == ([{"id": 1, "height": 1}], [])


def test_it_ignores_them_where_the_schema_says_so() -> None:
    assert OPEN.ignores_unknown
    assert OPEN.json_schema["additionalProperties"] is True
    assert OPEN.validated([{"height": 1, "id": 3}]) == [{"height": 1}]
    assert refused([{"height": "x", "id": 3}], OPEN) == ({"#/0/height": "must be a number"}, 1)
    stored = RecordSchema.from_stored(OPEN.json_schema, OPEN.stored_columns(), OPEN.container)
    assert stored.validated({"height": 1, "id": 3}) == [{"height": 1}]


@pytest.mark.parametrize("said", [False, None, {"type": "integer"}], ids=str)
def test_it_refuses_them_otherwise(said: Any) -> None:
    schema = RecordSchema.from_json_schema(RAW if said is None else {**RAW, "additionalProperties": said})

    assert refused({"height": 1, "id": 3}, schema) == ({"#/id": NOT_ONE}, 1)


def test_it_refuses_rows_that_have_nothing_of_the_model() -> None:
    schema = RecordSchema.from_json_schema({**RAW, "required": [], "additionalProperties": True})

    assert refused([{"height": 1}, {"name": "Ada"}, {}], schema) == ({"#/1": "has none of this model's columns"}, 1)
    assert refused({"name": "Ada"}, schema) == ({"#": "has none of this model's columns"}, 1)
    assert schema.validated({}) == [{}]


def test_it_bounds_what_is_told_of_hostile_names() -> None:
    names = ["n" * 1_000_000, *(f"column {number}" for number in range(100_000))]
    started = time.process_time()

    listed = warned([{"height": 1, **dict.fromkeys(names, 1)}])

    assert time.process_time() - started < 2
    assert len(listed) == MAX_LISTED_WARNINGS
    assert max(len(column) for _, column, _ in listed) <= 201
