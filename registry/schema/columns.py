"""Rows as columns: plain values, which is how they travel to the process that calls the model. Pure.

Needs neither numpy nor pandas, so any process can make them; `registry.pipelines.frames` makes of them what a pipeline
gets.
"""

from array import array
from collections.abc import Sequence
from typing import Any

from registry.schema.flattening import types_of
from registry.schema.record import Column, RecordSchema, Row

# A list with a value per row, or the bytes of 64-bit numbers in this machine's order.
Values = list[Any] | bytes
Columns = list[Values] | list[Row]

_NAN = float("nan")
_WHOLE = frozenset({int, type(None)})


def to_columns(schema: RecordSchema, rows: Sequence[Row]) -> Columns:
    """Valid rows as one entry per input, in training order; `marshal` carries all of it.

    An absent value is the column's default; null, or absent without default, is the value of `x-missing`, or else
    None. Columns of float64 and int64 are bytes where all values are numbers; for float64 None is NaN there. A pipeline
    that was fitted on dicts tells null from absent, so that for the container `records` there is one dict per row
    instead, in which only what has a default is filled in.
    """
    if schema.container == "records":
        return _records(schema, rows)
    return [_values(column, schema.properties[column.name], rows) for column in schema.columns]


def _records(schema: RecordSchema, rows: Sequence[Row]) -> list[Row]:
    names, properties = schema.names, schema.properties.items()
    defaults = {name: node["default"] for name, node in properties if node.get("default") is not None}
    return [{**defaults, **{name: row[name] for name in names if name in row}} for row in rows]


def _values(column: Column, node: dict[str, Any], rows: Sequence[Row]) -> Values:
    name = column.name
    try:
        values = [row[name] for row in rows]
    except KeyError:
        default = node.get("default")
        values = [row.get(name, default) for row in rows]
    if types_of(node)[0] == "integer" and column.dtype != "float64":
        values = _whole(values)
    if column.missing == "value":
        missing = node["x-missing"]["value"]
        values = [missing if value is None else value for value in values]
    return _packed(column.dtype, values)


def _whole(values: list[Any]) -> list[Any]:
    """JSON's 1.0 is a whole number, too. A single float would turn all of them into floats, and round large ones."""
    if set(map(type, values)) <= _WHOLE:
        return values
    return [value if value is None else int(value) for value in values]


def _packed(dtype: str, values: list[Any]) -> Values:
    """The bytes of numbers. Anything else is left to numpy, which reads texts as numbers, or says what is wrong."""
    try:
        if dtype == "int64":
            return array("q", values).tobytes()
        if dtype == "float64":
            gapless = [_NAN if value is None else value for value in values] if None in values else values
            return array("d", gapless).tobytes()
    except (TypeError, OverflowError):
        pass
    return values
