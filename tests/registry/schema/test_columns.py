"""Rows as columns of plain values."""

import marshal
import subprocess
import sys
from array import array
from typing import Any

import pytest

from registry.schema.columns import Columns, to_columns
from registry.schema.record import RecordSchema


def columns_of(
    rows: list[dict[str, Any]], container: Any = "frame", required: tuple[str, ...] = (), **properties: Any
) -> Columns:
    raw = {"type": "object", "properties": properties, "required": list(required)}
    return to_columns(RecordSchema.from_json_schema(raw, container=container), rows)


def column(values: list[Any], **node: Any) -> Any:
    required = () if None in values else ("a",)
    return columns_of([{"a": value} for value in values], required=required, a=node)[0]


def doubles(*values: float) -> bytes:
    return array("d", values).tobytes()


def test_it_follows_the_training_order_and_leaves_out_what_the_pipeline_drops() -> None:
    raw = {"properties": {"b": {"type": "string"}, "a": {"type": "string"}}, "x-ignored": {"id": 0}}

    made = to_columns(RecordSchema.from_json_schema(raw), [{"a": "1", "b": "2"}, {"b": "4", "a": "3"}])

    assert made == [["2", "4"], ["1", "3"]]


def test_it_packs_numbers() -> None:
    assert column([1, 2.5], type="number") == doubles(1.0, 2.5)
    assert column([1, -(2**63)], type="integer") == array("q", [1, -(2**63)]).tobytes()


def test_it_takes_nan_for_a_missing_float() -> None:
    assert column([1.5, None], type=["number", "null"]) == doubles(1.5, float("nan"))


def test_it_takes_one_point_zero_for_a_whole_number() -> None:
    assert column([1.0, 2**53 + 1], type="integer") == array("q", [1, 2**53 + 1]).tobytes()
    assert column([1.0, None], **{"type": ["integer", "null"], "x-dtype": "Int64"}) == [1, None]


@pytest.mark.parametrize(
    ("node", "values"),
    [
        ({"type": "string", "x-dtype": "float64"}, ["1.5"]),
        ({"type": "number"}, [10**400]),
        ({"type": "number", "x-dtype": "int64"}, [1.5]),
        ({"type": "number", "x-dtype": "float32"}, [1.5]),
        ({"type": "integer", "x-dtype": "uint64"}, [2**64 - 1]),
        ({"type": ["boolean", "null"]}, [True, None]),
    ],
    ids=str,
)
def test_it_leaves_to_numpy_what_are_no_64_bit_numbers(node: dict[str, Any], values: list[Any]) -> None:
    assert column(values, **node) == values


def test_it_fills_in_a_default_for_what_is_absent_and_not_for_null() -> None:
    rows: list[dict[str, Any]] = [{}, {"a": None}, {"a": "x"}]

    assert columns_of(rows, a={"type": ["string", "null"], "default": "d"}) == [["d", None, "x"]]


def test_it_fills_in_the_value_that_stands_for_missing() -> None:
    node = {"type": ["number", "null"], "x-missing": {"value": -1}}

    assert columns_of([{}, {"a": None}, {"a": 2}], a=node) == [doubles(-1, -1, 2)]


def test_it_keeps_absent_apart_from_null_for_a_pipeline_of_dicts() -> None:
    properties: dict[str, Any] = {"a": {"type": ["string", "null"]}, "b": {"type": "number", "default": 2}}

    assert columns_of([{}, {"b": 1, "a": None}], "records", **properties) == [{"b": 2}, {"b": 1, "a": None}]


@pytest.mark.parametrize("container", ["frame", "records"])
def test_it_makes_what_marshal_carries(container: Any) -> None:
    properties: dict[str, Any] = {"a": {"type": ["number", "null"]}, "b": {"type": ["string", "null"]}}

    made = columns_of([{"a": 0.1, "b": "ä\0𝕏"}, {"a": None}], container, **properties)

    assert marshal.loads(marshal.dumps(made)) == made


def test_it_needs_neither_numpy_nor_pandas() -> None:
    code = "import sys, registry.schema.columns; sys.exit(bool({'numpy', 'pandas'} & set(sys.modules)))"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
