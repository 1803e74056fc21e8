"""Rows in a JSON value, in the layouts that pandas, MLflow and other servers write. Pure."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mlserve.errors import BadUpload
from registry.tables.columns import alike, listed, repeated_in

Record = dict[str, Any]

RECORDS, ONE_RECORD = "a list of records", "one record"
_ENVELOPES = ("dataframe_split", "dataframe_records", "inputs", "instances")
# What may stand beside the rows of a request to MLflow.
_BESIDE_ENVELOPE = frozenset({"params", "signature_name"})
_BESIDE_SPLIT = frozenset({"columns", "data", "index", "index_names", "column_names"})
_WRITE = "Write a list of records: to_json(orient='records')."


def records_of(value: Any, name: str, known: Sequence[str] = ()) -> tuple[list[Record], str]:
    """The records, and what their layout is called. `known` are the columns that they should have.

    Raises BadUpload with the name of a layout that names no columns or that could be read in two ways.
    """
    if isinstance(value, Mapping):
        for key in _ENVELOPES:
            if isinstance(value.get(key), list | Mapping) and value.keys() <= {key, *_BESIDE_ENVELOPE}:
                records, layout = _table_of(value[key], f"{name}: {key}", known)
                return records, f"{layout} in {key}"
    return _table_of(value, name, known)


def null_for_nan(records: Sequence[Record]) -> list[str]:
    """Put null where a value is NaN, which Python writes into JSON; the names of these columns."""
    changed: dict[str, None] = {}
    for record in records:
        for column, value in record.items():
            if isinstance(value, float) and math.isnan(value):
                record[column] = None
                changed[column] = None
    return list(changed)


def _table_of(value: Any, name: str, known: Sequence[str]) -> tuple[list[Record], str]:
    if not isinstance(value, dict):
        return _from_list(value if isinstance(value, list) else [value], name), RECORDS
    parts = list(value.values())
    if isinstance(value.get("data"), list) and isinstance(value.get("columns"), list) and value.keys() <= _BESIDE_SPLIT:
        return _from_split(value, name), "to_json(orient='split')"
    if isinstance(value.get("data"), list) and isinstance(value.get("schema"), dict) and len(value) == 2:
        return _from_table(value, name, known), "to_json(orient='table')"
    if parts and all(isinstance(part, dict) for part in parts):
        return _from_nested(value, name, known)
    if parts and all(isinstance(part, list) for part in parts):
        return _from_lists(value, name), "a list for each column"
    if nested := [key for key, part in value.items() if isinstance(part, dict | list)]:
        raise BadUpload(f"{name} is no record, since {listed(nested)} holds more than one value. {_WRITE}")
    return [value], ONE_RECORD


def _from_list(rows: list[Any], name: str) -> list[Record]:
    if rows and all(isinstance(row, list) for row in rows):
        raise BadUpload(
            f"{name} holds rows of values without the names of columns, as to_json(orient='values') writes. {_WRITE}"
        )
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise BadUpload(f"{name}: row {number} is not a record {{…}}. {_WRITE}")
    return rows


def _from_split(value: Mapping[str, Any], name: str) -> list[Record]:
    if not all(isinstance(column, str | int) for column in value["columns"]):
        raise BadUpload(f"{name}: columns must be a list of names. {_WRITE}")
    columns = [str(column) for column in value["columns"]]
    repeated = repeated_in(columns)
    if repeated:
        raise BadUpload(f"{name} names {listed(repeated)} more than once.")
    for number, row in enumerate(value["data"], start=1):
        if not isinstance(row, list) or len(row) != len(columns):
            raise BadUpload(f"{name}: row {number} is not a list of {len(columns)} values, one for each of columns.")
    return [dict(zip(columns, row, strict=True)) for row in value["data"]]


def _from_table(value: Mapping[str, Any], name: str, known: Sequence[str]) -> list[Record]:
    key = value["schema"].get("primaryKey")
    index = {str(column) for column in key}.difference(known) if isinstance(key, list) else set()
    rows = _from_list(value["data"], name)
    return [{column: part for column, part in row.items() if column not in index} for row in rows]


def _from_nested(value: Mapping[str, Mapping[str, Any]], name: str, known: Sequence[str]) -> tuple[list[Record], str]:
    """{"rooms": {"0": 3}} by columns or {"0": {"rooms": 3}} by rows: told by known names, or by which keys count."""
    first = next(iter(value.values()))
    if any(part.keys() != first.keys() for part in value.values()):
        raise BadUpload(f"{name}: its objects have different keys, so they are neither rows nor columns. {_WRITE}")
    for looks in (_known_among(known), _are_names):
        outer, inner = looks(list(value)), looks(list(first))
        if outer > inner:
            return [{column: value[column][row] for column in value} for row in first], "to_json(orient='columns')"
        if inner > outer:
            return [dict(part) for part in value.values()], "to_json(orient='index')"
    raise BadUpload(f"{name} may be to_json(orient='columns') or to_json(orient='index'). {_WRITE}")


def _from_lists(value: Mapping[str, list[Any]], name: str) -> list[Record]:
    lengths = {column: len(part) for column, part in value.items()}
    if len(set(lengths.values())) > 1:
        shown = listed([f"{column} {length}" for column, length in lengths.items()])
        raise BadUpload(f"{name}: its columns have different numbers of values ({shown}). {_WRITE}")
    return [dict(zip(value, cells, strict=True)) for cells in zip(*value.values(), strict=True)]


def _known_among(known: Sequence[str]) -> Callable[[Sequence[str]], int]:
    return lambda keys: len(alike(keys, known))


def _are_names(keys: Sequence[str]) -> int:
    """0 for keys that count rows, as pandas numbers them, else 1."""
    return 0 if all(key.isdecimal() for key in keys) else 1
