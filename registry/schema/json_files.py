"""Read the JSON files of an upload as strictly as request bodies: what they hold ends in the database. Pure."""

import sys
from collections.abc import Iterator
from typing import Any

import jiter


def read_json(text: str, *, allow_nan: bool = False) -> Any:
    """The value of a JSON text. Raises ValueError with what is wrong and what to do.

    Refuses what databases refuse to store: NaN, unless the caller replaces it, numbers beyond float64 and the
    character NUL.
    """
    value = jiter.from_json(text.encode(), allow_inf_nan=allow_nan, catch_duplicate_keys=True)
    _require_storable(value)
    return value


def read_json_lines(text: str, *, allow_nan: bool = False) -> list[Any] | None:
    """The value of each line, or None for a text whose first line is no value by itself. Raises ValueError."""
    # Not `splitlines`: texts in JSON may hold other characters that it takes for ends of lines.
    lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    values = []
    for number, line in lines:
        try:
            values.append(read_json(line, allow_nan=allow_nan))
        except ValueError as error:
            if not values:
                return None
            raise ValueError(f"line {number}: {error}") from error
    return values if len(values) > 1 else None


def require_finite(value: Any) -> None:
    """Raise ValueError for a number, anywhere in a JSON value, that no float64 can hold."""
    if any(isinstance(part, int | float) and abs(part) > sys.float_info.max for part in _parts(value)):
        raise ValueError("a number is infinite or too large for a 64-bit float; write a smaller one or null")


def _require_storable(value: Any) -> None:
    if any(isinstance(part, str) and "\x00" in part for part in _parts(value)):
        raise ValueError("a text holds the character NUL, which cannot be stored")
    require_finite(value)


def _parts(value: Any) -> Iterator[Any]:
    """Names and values, at any depth."""
    pending = [value]
    while pending:
        part = pending.pop()
        if isinstance(part, dict):
            pending.extend(part)
            pending.extend(part.values())
        elif isinstance(part, list):
            pending.extend(part)
        else:
            yield part
