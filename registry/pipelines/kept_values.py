"""Whether the pipeline gets the values that the rows have, or others into which their dtype turned them. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from registry.schema.record import IGNORED, Column, RecordSchema, Row

# Comparing so many takes less than a second.
_MOST_CELLS = 1_000_000


@dataclass(frozen=True)
class ChangedValue:
    """`given` stands in the row, which counts from 0, `held` in the frame or array that the pipeline gets."""

    row: int
    column: Column
    given: Any
    held: Any

    @property
    def detail(self) -> str:
        return (
            f"Row {self.row + 1}, column {self.column.name}: the sample has {self.given!r}, but as {self.column.dtype} "
            f"the pipeline gets {self.held!r}."
        )


def first_changed_value(schema: RecordSchema, rows: Sequence[Row], data: Any) -> ChangedValue | None:
    """The first value of the rows that is another one in `data`, which `frames.rows_to_input` made of them; else None.

    Null is whatever the pipeline takes for missing, and a fraction in a column of 32-bit floats the nearest of them.
    Compares a million cells at most.
    """
    compared = rows[: max(1, _MOST_CELLS // len(schema.columns))]
    for position, column in enumerate(schema.training_columns):
        if column.dtype == IGNORED:
            continue
        for row, (values, held) in enumerate(zip(compared, _values_of(data, position, column.name), strict=False)):
            given = values.get(column.name)
            if given is not None and not _is_kept(given, held, column.dtype):
                return ChangedValue(row, column, given, held)
    return None


def _values_of(data: Any, position: int, name: str) -> Sequence[Any]:
    """A column of a frame, of an array of two dimensions, of dicts, or the only one of a sequence."""
    if isinstance(data, pd.DataFrame):
        return data[name].tolist()
    if getattr(data, "ndim", 1) == 2:
        values: list[Any] = data[:, position].tolist()
        return values
    return [each.get(name) if isinstance(each, Mapping) else each for each in data]


def _is_kept(given: Any, held: Any, dtype: str) -> bool:
    if isinstance(given, str) and not isinstance(held, str):
        return _is_moment(given, held)
    if isinstance(held, str) and not isinstance(given, str):
        return held == str(given)
    if isinstance(given, float) and dtype.lower() in ("float32", "float16"):
        given = float(np.dtype(dtype.lower()).type(given))
    return bool(given == held) if not pd.isna(held) else False


def _is_moment(given: str, held: Any) -> bool:
    """Whether `held` is the moment that a text names; one without a zone is taken for UTC on both sides."""
    if not isinstance(held, datetime) or held is pd.NaT:
        return False
    moments = [pd.Timestamp(each) for each in (given, held)]
    one, other = (each.tz_localize(UTC) if each.tzinfo is None else each for each in moments)
    return bool(one == other)
