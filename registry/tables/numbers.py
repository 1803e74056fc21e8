"""Numbers as text: with a decimal point, with a decimal comma, or with separators for thousands. Pure."""

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Literal

Form = Literal["whole", "point", "comma", "grouped"]

_POINT = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_COMMA = re.compile(r"[+-]?(\d+,\d*|,\d+)([eE][+-]?\d+)?", re.ASCII)
_GROUPED = re.compile(
    r"[+-]?\d{1,3}((\.\d{3})+,\d+|(,\d{3})+\.\d+|(\.\d{3}){2,}|(,\d{3}){2,}|([ \u00a0\u202f'’]\d{3})+[.,]\d+)", re.ASCII
)
# 1,234 may be one and a bit, or more than a thousand.
_LIKE_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}[.,]\d{3}", re.ASCII)
_SUPERFLUOUS_ZERO = re.compile(r"[+-]?0\d", re.ASCII)


def is_number(text: str) -> bool:
    """Whether `text` is a finite number with at most a decimal point, and no code such as 00123."""
    text = text.strip()
    return bool(_POINT.fullmatch(text)) and not _SUPERFLUOUS_ZERO.match(text) and abs(float(text)) < float("inf")


def with_point(cell: str) -> str:
    """A number with a decimal comma as one with a point; any other text as it is."""
    return cell.replace(",", ".") if _COMMA.fullmatch(cell.strip()) else cell


def has_decimal_commas(columns: Mapping[str, Sequence[str]], *, numeric: Container[str], separator: str) -> bool:
    """Whether the numbers of a table have decimal commas.

    `columns` are those that may hold numbers, with the cells that are not missing; in the `numeric` ones, other texts
    are mistakes, while any text makes one of the others a column of texts. Raises ValueError with an example of numbers
    that could mean something else.
    """
    if separator == ",":
        # No number has a comma there, so that what has one is a mistake, too.
        columns = {column: cells for column, cells in columns.items() if column not in numeric}
    if not any(_is_unusual(cell) for cells in columns.values() for cell in cells):
        return False
    seen: dict[Form, tuple[str, str]] = {}
    certain = separator == ";"  # what spreadsheets write where the comma is the decimal mark
    for column, cells in columns.items():
        for form, cell in _forms(cells, skips_texts=column in numeric):
            seen.setdefault(form, (column, cell))
            certain = certain or (form == "comma" and not _LIKE_THOUSANDS.fullmatch(cell))
    if "grouped" in seen:
        raise ValueError(f"{_shown(seen['grouped'])} is a number with separators for thousands. {_WRITE}")
    if "comma" not in seen:
        return False
    if separator == ",":
        raise ValueError(f"{_shown(seen['comma'])} has a comma as decimal mark or for thousands. {_WRITE}")
    if "point" in seen:
        raise ValueError(f"{_shown(seen['comma'])} has a comma, but {_shown(seen['point'])} a decimal point. {_WRITE}")
    if not certain:
        raise ValueError(f"{_shown(seen['comma'])} may have a decimal comma, or one for thousands. {_WRITE}")
    return True


def like_thousands(columns: Mapping[str, Sequence[str]]) -> list[str]:
    """The columns whose numbers all look as 1.234 does, which may also be more than a thousand."""
    return [
        column
        for column, cells in columns.items()
        if cells and all(map(_LIKE_THOUSANDS.fullmatch, map(str.strip, cells)))
    ]


_WRITE = "Write numbers as 1234.5: to_csv(index=False) does."


def _is_unusual(cell: str) -> bool:
    return "," in cell or cell.count(".") > 1


def _forms(cells: Sequence[str], *, skips_texts: bool) -> Iterator[tuple[Form, str]]:
    """The form of each number, once; none for a column that has other texts, unless they are to be skipped."""
    stripped = dict.fromkeys(cell.strip() for cell in cells)
    forms = [(_form_of(cell), cell) for cell in stripped]
    if skips_texts or all(form for form, _ in forms):
        yield from ((form, cell) for form, cell in forms if form)


def _form_of(cell: str) -> Form | None:
    """How a number is written; None for any other text."""
    if _SUPERFLUOUS_ZERO.match(cell):
        return None
    if _POINT.fullmatch(cell):
        return "point" if "." in cell else "whole"
    if _COMMA.fullmatch(cell):
        return "comma"
    return "grouped" if _GROUPED.fullmatch(cell) else None


def _shown(example: tuple[str, str]) -> str:
    column, cell = example
    return f"{cell[:40]} in the column {column[:60]!r}"
