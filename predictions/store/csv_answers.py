"""Answers as CSV, beside the rows that they answer or alone. Pure."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from registry.schema.record import Row

_BEGIN_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
# The names of columns for these members of a result.
_COLUMN_OF = {"predictions": "prediction", "probabilities": "probability"}


def with_answers(originals: Sequence[Row], answers: Mapping[str, Sequence[Any]]) -> str:
    """CSV of the rows with a column for each answer: `prediction`, `probability_Adelie`, …, `prediction_1` of several.

    An answer whose name is a column of the rows takes an underscore; text that begins like a formula an apostrophe.
    """
    taken = dict.fromkeys(name for row in originals for name in row)
    beside = [
        {
            _free(name, taken): value
            for output in answers
            for name, value in _flat(_column(output), answers[output][row])
        }
        for row in range(len(originals))
    ]
    added = dict.fromkeys(name for row in beside for name in row)
    lines = [_line(*taken, *added)]
    for original, answer in zip(originals, beside, strict=True):
        lines.append(_line(*map(original.get, taken), *map(answer.get, added)))
    return "".join(lines)


def _column(output: str) -> str:
    return _COLUMN_OF.get(output, output)


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """An answer as columns: one for a single value, one per class or output for several."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _flat(f"{name}_{key}", part)
    elif isinstance(value, list):
        for position, part in enumerate(value, start=1):
            yield from _flat(f"{name}_{position}", part)
    else:
        yield name, value


def _free(name: str, taken: Mapping[str, Any]) -> str:
    while name in taken:
        name += "_"
    return name


def _line(*values: Any) -> str:
    """A line of CSV. Its writer ends lines with a carriage return, since else it would not quote one in a cell."""
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\r\n").writerow([_text(value) for value in values])
    return f"{out.getvalue()[:-2]}\n"


def _text(value: Any) -> Any:
    """A cell. Text that begins like a formula gets an apostrophe, because spreadsheets would execute it.

    Numbers stay numbers, also as text of a CSV file, and a lone sign is not a formula.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and len(value) > 1 and value.startswith(_BEGIN_FORMULAS) and not _is_number(value):
        return f"'{value}"
    return value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text[0] not in "\t\r"
