"""Name the layout of a request that is neither a record nor a list of records. Pure.

It is only named, never read: what could as well be a record with columns of these names must not be guessed.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mlserve.errors import FieldError, InvalidRows
from registry.schema.options import shown

EXPECTED = "must be one record {…} or a list of records [{…}, …]"
_MOST_CHARACTERS = 2_000
# Written by clients of MLflow, TensorFlow Serving, SageMaker and Vertex AI.
_ENVELOPES = ("dataframe_split", "dataframe_records", "instances", "inputs")


def layout_of(payload: Any, names: frozenset[str]) -> str | None:
    """What the payload is instead, for a model with the columns `names`; None where nothing tells."""
    if isinstance(payload, str):
        return "JSON inside of a string, so it was encoded twice" if payload.lstrip().startswith(("{", "[")) else None
    if isinstance(payload, list):
        return _of_list(payload, names)
    return _of_object(payload, names) if isinstance(payload, dict) else None


def wrong_layout(layout: str, example: Mapping[str, Any]) -> InvalidRows:
    """The refusal of a layout, with a record of the model as it should be sent."""
    text = json.dumps([example], ensure_ascii=False)
    such_as = f"such as {text}" if len(text) <= _MOST_CHARACTERS else "such as the member `example` of this problem"
    return InvalidRows([FieldError("#", f"{EXPECTED}, but is {layout}: send a list of records, {such_as}")], 1, example)


def _of_list(rows: Sequence[Any], names: frozenset[str]) -> str | None:
    if not rows:
        return None
    if all(isinstance(row, list) for row in rows):
        if all(isinstance(part, dict) for row in rows for part in row) and any(rows):
            return "lists inside of a list"
        return "rows of values without the names of their columns, as to_json(orient='values') writes"
    if not any(isinstance(row, dict | list) for row in rows):
        return "values without the names of their columns"
    if all(isinstance(row, dict) and row and names.isdisjoint(row) for row in rows):
        inside = _of_object(rows[0], names)
        return inside and f"{inside}, in each row"
    return None


def _of_object(record: Mapping[str, Any], names: frozenset[str]) -> str | None:
    nested = [name for name, value in record.items() if isinstance(value, dict | list)]
    if not nested:
        return None
    if not any(name in names for name in record):
        return _envelope(record, nested[0])
    if len(nested) < len(record):
        return None  # a record with some wrong values, each of which is an error of its own
    if all(isinstance(value, dict) for value in record.values()):
        return "an object for each column, as to_json(orient='columns') writes"
    return "a list of values for each column, as to_dict(orient='list') makes"


def _envelope(record: Mapping[str, Any], outermost: str) -> str:
    if {"columns", "data"} <= record.keys():
        return "columns and data apart, as to_json(orient='split') writes"
    if {"schema", "data"} <= record.keys():
        return "a table with its schema, as to_json(orient='table') writes"
    if all(name.isdecimal() and isinstance(value, dict) for name, value in record.items()):
        return "a record for each number, as to_json(orient='index') writes"
    tensors = record.get("inputs")
    if isinstance(tensors, list) and tensors and all(isinstance(each, dict) and "datatype" in each for each in tensors):
        return "tensors of the Open Inference Protocol"
    known = next((name for name in _ENVELOPES if name in record), None)
    return f"rows inside of {shown(known or outermost)}"
