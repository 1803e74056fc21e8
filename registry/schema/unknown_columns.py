"""Leave out columns that a model does not have, where the caller or the model's schema says so. Pure."""

from collections.abc import Collection
from typing import Any

from mlserve.errors import FieldError, InvalidRows
from registry.schema.options import Options
from registry.schema.row_errors import MAX_LISTED_ERRORS
from registry.schema.violations import pointer

# For more names, only one that differs in case is named.
_MOST_COMPARISONS = 3
_SHOWN_CHARACTERS = 200


def without_unknown(payload: Any, known: frozenset[str]) -> tuple[Any, dict[str, int]]:
    """A record or a list of records with the `known` columns only, and each other name with the first row that has it.

    What is no record is left as it is. Raises InvalidRows for records that have none of the columns: they were meant
    for another model, and one that requires no column would predict them from nothing.
    """
    rows = payload if isinstance(payload, list) else [payload]
    kept, unknown, foreign = [], dict[str, int](), list[int]()
    for index, row in enumerate(rows):
        if not isinstance(row, dict) or row.keys() <= known:
            kept.append(row)
            continue
        for name in row:
            if name not in known:
                unknown.setdefault(name, index)
        kept.append({name: value for name, value in row.items() if name in known})
        if not kept[-1]:
            foreign.append(index)
    if foreign:
        at = [pointer(index) if isinstance(payload, list) else "#" for index in foreign[:MAX_LISTED_ERRORS]]
        raise InvalidRows([FieldError(each, "has none of this model's columns") for each in at], len(foreign))
    return (kept if isinstance(payload, list) else kept[0]), unknown


def sentences(unknown: Collection[str], known: Collection[str]) -> list[tuple[str, str]]:
    """(name as it is shown, sentence) of each unknown column."""
    names, compared = Options(known), iter(range(_MOST_COMPARISONS))
    return [
        (
            name if len(name) <= _SHOWN_CHARACTERS else f"{name[:_SHOWN_CHARACTERS]}…",
            "is not a column of this model and was ignored"
            + names.did_you_mean(name, may_compare=lambda: next(compared, None) is not None),
        )
        for name in unknown
    ]
