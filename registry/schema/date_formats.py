"""Dates and times as text: the formats that a column's values may have, by the name that its validator uses. Pure."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

# 64 bits of nanoseconds, to the second.
_FIRST_NANOSECOND = datetime(1677, 9, 21, 0, 12, 44, tzinfo=UTC)
_LAST_NANOSECOND = datetime(2262, 4, 11, 23, 47, 16, tzinfo=UTC)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
# What pandas reads as Python does; the standard library's reader takes any separator and offsets with seconds.
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d(:?\d\d(:?\d\d([.,]\d{1,9})?)?)?(Z|[+-]\d\d(:?\d\d)?)?)?", re.ASCII)


def is_of_format(name: str, value: Any) -> bool:
    """Whether a value is a text of the format `date` or `date-time`."""
    return isinstance(value, str) and FORMATS[name](value)


def format_within(name: str, dtype: str) -> str:
    """A moment needs an offset where the column has a time zone, and has none where it does not."""
    zone = "" if name == "date" else "-zoned" if "," in dtype else "-local"
    return f"{name}{zone}{'-ns' if dtype.startswith('datetime64[ns') else ''}"


def _is_date(value: str) -> bool:
    """Refuses the compact and week forms of ISO 8601, which pandas reads differently."""
    return _DATE.fullmatch(value) is not None and _exists(value)


def _is_date_time(value: str) -> bool:
    """ISO 8601 with or without an offset: training data seldom has one, though RFC 3339 wants it."""
    return _DATE_TIME.fullmatch(value) is not None and _exists(value)


def _exists(value: str) -> bool:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _fits_nanoseconds(value: str) -> bool:
    """Whether a valid date or time can be counted in 64-bit nanoseconds."""
    moment = datetime.fromisoformat(value)
    try:
        return _FIRST_NANOSECOND <= moment.replace(tzinfo=moment.tzinfo or UTC) <= _LAST_NANOSECOND
    except OverflowError:  # with its offset, the year is before 1 or after 9999
        return False


def _has_offset(value: str) -> bool:
    return datetime.fromisoformat(value).tzinfo is not None


FORMATS: dict[str, Callable[[str], bool]] = {
    "date": _is_date,
    "date-ns": lambda value: _is_date(value) and _fits_nanoseconds(value),
    "date-time": _is_date_time,
    "date-time-local": lambda value: _is_date_time(value) and not _has_offset(value),
    "date-time-local-ns": lambda value: FORMATS["date-time-local"](value) and _fits_nanoseconds(value),
    "date-time-zoned": lambda value: _is_date_time(value) and _has_offset(value),
    "date-time-zoned-ns": lambda value: FORMATS["date-time-zoned"](value) and _fits_nanoseconds(value),
}
