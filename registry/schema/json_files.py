"""Read the JSON files of an upload as strictly as request bodies: what they hold ends in the database. Pure."""

import math
from typing import Any

import jiter


def read_json(text: str) -> Any:
    """The value of a JSON text. Raises ValueError with what is wrong and what to do.

    Refuses what databases refuse to store: NaN, numbers beyond float64 and the character NUL.
    """
    value = jiter.from_json(text.encode(), allow_inf_nan=False, catch_duplicate_keys=True)
    _require_storable(value)
    return value


def _require_storable(value: Any) -> None:
    pending = [value]
    while pending:
        part = pending.pop()
        if isinstance(part, dict):
            pending.extend(part)
            pending.extend(part.values())
        elif isinstance(part, list):
            pending.extend(part)
        elif isinstance(part, str) and "\x00" in part:
            raise ValueError("a text holds the character NUL, which cannot be stored")
        elif isinstance(part, float) and math.isinf(part):
            raise ValueError("a number is too large for a 64-bit float; write a smaller one or null")
