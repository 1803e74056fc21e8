"""Columns of rows to a frame like the one that the pipeline was fitted on, and arrays of answers to JSON. Pure.

Needs pandas and numpy.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from registry.pipelines.errors import NotJsonable
from registry.schema.columns import Columns, Values, to_columns
from registry.schema.record import IGNORED, Column, RecordSchema, Row

# What a pipeline's methods are called with.
Input = pd.DataFrame | pd.Series | npt.NDArray[Any] | list[Row]

_FLOAT_BYTES = 8
_JSON_TYPES = frozenset({str, int, bool, type(None)})


def to_input(schema: RecordSchema, columns: Columns, n_rows: int) -> Input:
    """What `predict` gets, in the container that the pipeline was fitted on, of what `to_columns` made.

    A frame of shape (n_rows, n_inputs) with columns in training order and the training dtypes; an array of shape
    (n_rows, n_columns); the texts of the one column; or `columns` itself, which are dicts then.
    """
    if schema.container == "records":
        return cast(list[Row], columns)
    frame = to_frame(schema, columns, n_rows)
    if schema.container == "texts":
        return frame[schema.names[0]]
    return frame if schema.container == "frame" else _to_array(schema, frame)


def rows_to_input(schema: RecordSchema, rows: Sequence[Row]) -> Input:
    """`to_input` for valid rows that are in this process."""
    return to_input(schema, to_columns(schema, rows), len(rows))


def to_frame(schema: RecordSchema, columns: Columns, n_rows: int) -> pd.DataFrame:
    """The columns as a frame of shape (n_rows, n_inputs) in training order with the training dtypes.

    pandas puts columns of one dtype into one block, as it did for the training: in another layout, sums may differ in
    their last bits.
    """
    data = {
        column.name: _convert(column, schema.properties[column.name], values)
        for column, values in zip(schema.columns, cast(list[Values], columns), strict=True)
    }
    return pd.DataFrame(data, index=pd.RangeIndex(n_rows))


def _to_array(schema: RecordSchema, frame: pd.DataFrame) -> npt.NDArray[Any]:
    """One dtype for all columns, as the array of the training had; Python objects where they share none.

    The columns that the pipeline drops hold the place of those of the training.
    """
    dtypes = [dtype for dtype in frame.dtypes if isinstance(dtype, np.dtype)]
    kinds = {dtype.kind for dtype in dtypes}
    is_one = len(dtypes) == len(frame.columns) and (kinds <= set("biuf") or kinds == {"M"})
    for position, column in enumerate(schema.training_columns):
        if column.dtype == IGNORED:
            # Any value does that the dtype can hold.
            frame.insert(position, column.name, frame.iloc[:, 0])
    return frame.to_numpy(dtype=np.result_type(*dtypes) if is_one else object)


def predictions_to_json(answers: Any) -> list[Any]:
    """`predict`'s array of shape (n,) or (n, n_outputs) as one JSON value per row (lists for several outputs).

    Several labels may come as a sparse matrix.
    """
    return _finite(_dense(answers))


def probabilities_to_json(answers: Any, classes: Any) -> list[Any]:
    """`predict_proba`'s array of shape (n, n_classes) as one {label: probability} per row.

    For several outputs scikit-learn gives a list of such arrays and of `classes_`; then a list of objects per row.
    """
    if isinstance(answers, list):
        per_output = [probabilities_to_json(each, labels) for each, labels in zip(answers, classes, strict=True)]
        return [list(row) for row in zip(*per_output, strict=True)]
    if isinstance(classes, list):
        return _chained_probabilities(answers, classes)
    labels = [label_text(label) for label in np.asarray(classes).tolist()]
    return [dict(zip(labels, row, strict=True)) for row in _finite(_dense(answers))]


def _dense(answers: Any) -> npt.NDArray[Any]:
    return np.asarray(answers.toarray() if hasattr(answers, "toarray") else answers)


def _chained_probabilities(answers: Any, classes: list[Any]) -> list[Any]:
    """ClassifierChain gives one array of shape (n, n_outputs): the probability of each output's second label."""
    if any(len(labels) != 2 for labels in classes):
        raise NotJsonable("the probabilities of several outputs with more than two labels come as one array")
    columns = np.asarray(answers).T
    pairs = [np.column_stack([1 - column, column]) for column in columns]
    return probabilities_to_json(pairs, classes)


def label_text(label: Any) -> str:
    """A class label as a JSON member name: strings as they are, others as JSON writes them."""
    if isinstance(label, bool | np.bool_):
        return "true" if label else "false"
    return str(label)


def _finite(answers: npt.NDArray[Any]) -> list[Any]:
    """An array as JSON values. Raises NotJsonable."""
    values: list[Any] = answers.tolist()
    if _is_jsonable(answers, values):
        return values
    return [_jsonable(value, index) for index, value in enumerate(values)]


def _is_jsonable(answers: npt.NDArray[Any], values: list[Any]) -> bool:
    """Whether all `values` of the array are JSON values already, where that can be told of all at once."""
    kind = answers.dtype.kind
    if kind == "f":  # the values of longer floats are no floats of Python
        return answers.itemsize <= _FLOAT_BYTES and bool(np.isfinite(answers).all())
    if kind == "O":
        return answers.ndim == 1 and set(map(type, values)) <= _JSON_TYPES
    return kind in "biuU"


def _jsonable(value: Any, row: int) -> Any:
    if isinstance(value, np.generic):  # in an array of objects, tolist() leaves them as they are
        value = value.item()
    if isinstance(value, float):
        if not math.isfinite(value):
            raise NotJsonable(f"the pipeline answered {value}, which JSON cannot carry", row)
    elif isinstance(value, list):
        return [_jsonable(part, row) for part in value]
    elif not (value is None or isinstance(value, str | int | bool)):
        raise NotJsonable(f"the pipeline answered a {type(value).__name__}, which JSON cannot carry", row)
    return value


def _convert(column: Column, node: dict[str, Any], values: Values) -> Any:
    if isinstance(values, bytes):
        return np.frombuffer(values, dtype=column.dtype)
    if column.dtype == "category":
        categories = [value for value in node.get("enum", ()) if value is not None]
        return pd.Categorical(values, categories=categories or None)
    if column.dtype.startswith("datetime64"):
        return _datetimes(column.dtype, values)
    convert = _CONVERSIONS.get(column.dtype)
    if convert is not None:
        return convert(column, values)
    # Nullable and sized dtypes (Int64, boolean, Float32, int8, …) take None or raise with a message of their own.
    dtype = _dtype(column.dtype)
    if isinstance(dtype, np.dtype) and dtype.kind in "iu":
        return np.array(values, dtype=dtype)  # pandas would make floats of numbers beyond int64 first
    return pd.array(values, dtype=dtype)


@cache
def _dtype(name: str) -> Any:
    """pandas takes half as long for a small array of a dtype that is not named, but there."""
    return pd.api.types.pandas_dtype(name)


_MISSING_OBJECTS: dict[str, Any] = {"none": None, "na": pd.NA}


def _object(column: Column, values: list[Any]) -> pd.Series:
    missing = _MISSING_OBJECTS.get(column.missing, np.nan)
    return pd.Series([missing if value is None else value for value in values], dtype=object)


def _str(column: Column, values: list[Any]) -> Any:
    return _object(column, values) if column.missing in _MISSING_OBJECTS else pd.array(values, dtype=_dtype("str"))


def _datetimes(dtype: str, values: list[Any]) -> Any:
    """Moments of a column without a zone as they are written; others in the column's zone."""
    # read_csv's unit. Without one the dtype would depend on the values of the batch.
    target = _dtype(dtype if "[" in dtype else "datetime64[us]")
    zoned = isinstance(target, pd.DatetimeTZDtype)
    unit = target.unit if zoned else np.datetime_data(target)[0]
    stamps = [_timestamp(value, zoned, unit) for value in values]
    return pd.DatetimeIndex(stamps, tz="UTC" if zoned else None).astype(target)


def _timestamp(value: Any, zoned: bool, unit: Any) -> Any:
    """A version of an earlier release may keep sample rows with another kind of time than its schema now accepts."""
    if value is None:
        return pd.NaT
    stamp = pd.Timestamp(value).as_unit(unit)
    if stamp.tzinfo is None:
        return stamp.tz_localize("UTC") if zoned else stamp
    utc = stamp.tz_convert("UTC")
    return utc if zoned else utc.tz_localize(None)


# How values become a column, by dtype; the rest is left to pandas.
_CONVERSIONS: dict[str, Callable[[Column, list[Any]], Any]] = {
    "float64": lambda _column, values: np.array(values, dtype=np.float64),
    "object": _object,
    "str": _str,
}
