"""A table of text cells: CSV with its relatives, whatever separates their columns. Pure.

Read by the standard library, which leaves each cell as it is written: pandas would turn codes and whole numbers with
gaps into floats. What separates columns is told by the header and by rows of equal width; `csv.Sniffer` counts
characters and may take a letter for it.
"""

import csv
import io
import re
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from mlserve.errors import BadUpload
from registry.tables.columns import listed, repeated_in
from registry.tables.numbers import is_number

_SEPARATORS = {",": "comma-separated", ";": "semicolon-separated", "\t": "tab-separated", "|": "separated by |"}
# The line before the header by which Excel is told the separator.
_EXCEL_LINE = re.compile(r'"?sep=([^\w"\s]|\t)"?\r?\n', re.IGNORECASE)
_LOOKED_AT_ROWS, _LOOKED_AT_CHARACTERS = 50, 2**18
_WHOLE = re.compile(r"[+-]?\d+", re.ASCII)
# What `pandas.read_csv` calls a column without a name.
_UNNAMED = "Unnamed: 0"
_NO_INDEX = "Name it, or write the file without an index: to_csv(index=False)."


@dataclass(frozen=True)
class Cells:
    """The cells of each row by `header`. The first column is no input if it is an index."""

    header: list[str]
    lines: list[list[str]]
    separator: str
    has_index: bool = False
    notes: tuple[str, ...] = ()

    @property
    def layout(self) -> str:
        return _SEPARATORS.get(self.separator, f"separated by {self.separator}")

    def column(self, position: int) -> list[str]:
        return [line[position] for line in self.lines]


def cells_of(text: str, name: str, known: Sequence[str] = ()) -> Cells:
    """The table in `text`. `known` are the columns that it should have, as far as somebody knows them.

    Raises BadUpload with the line at fault, or with the layouts between which the text does not decide.
    """
    body, separator, skipped_lines = text, "", 0
    if excel := _EXCEL_LINE.match(text):
        body, separator, skipped_lines = text[excel.end() :], excel[1], 1
    separator = separator or _separator(body, name, known)
    has_blanks = _has_blanks(body, separator, known)
    numbered = list(_records(body, name, separator, has_blanks=has_blanks, skipped_lines=skipped_lines))
    if not numbered:
        raise BadUpload(f"{name} is empty; the first line must name the columns.")
    (_, header), *lines = numbered
    for number, line in lines:
        if len(line) != len(header):
            quote = f" Name each column, and put cells with a {separator!r} into double quotes."
            hint = quote if len(line) > len(header) else ""
            raise BadUpload(f"{name}, line {number}: {len(line)} cells, but the header names {len(header)}.{hint}")
    notes = ["without the blanks behind separators"] if has_blanks else []
    cells = Cells(header, [line for _, line in lines], separator, notes=tuple(notes))
    return _with_names(_without_padding(cells), name, known)


def _records(
    text: str, name: str, separator: str, *, has_blanks: bool, skipped_lines: int
) -> Iterator[tuple[int, list[str]]]:
    """Each record with the line on which it ends: empty lines count, too, and a cell may span several."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=separator, skipinitialspace=has_blanks)
    try:
        for record in reader:
            if record:
                yield reader.line_num + skipped_lines, record
    except csv.Error as error:
        raise BadUpload(f"{name}, line {reader.line_num + skipped_lines}: {error}.") from error


def _separator(text: str, name: str, known: Sequence[str]) -> str:
    """Where the header could be split in several ways, the known columns decide, then rows as wide as the header."""
    looks = {separator: records for separator in _SEPARATORS if (records := _first_records(text, separator))}
    names = set(known)
    found = {separator: len(names.intersection(map(str.strip, records[0]))) for separator, records in looks.items()}
    likely = [separator for separator in looks if found[separator] == max(found.values())]
    wide = [separator for separator in likely if len(looks[separator][0]) > 1]
    if len(wide) > 1:
        even = [each for each in wide if len(looks[each]) > 1 and len(set(map(len, looks[each]))) == 1]
        if len(even) != 1:
            kinds = " or ".join(_SEPARATORS[separator] for separator in wide)
            raise BadUpload(
                f"{name} may be {kinds}. Begin it with a line that names its columns, in double quotes where a name "
                "holds a separator."
            )
        return even[0]
    return (wide or likely or [","])[0]


def _first_records(text: str, separator: str) -> list[list[str]]:
    records: list[list[str]] = []
    reader = csv.reader(io.StringIO(text[:_LOOKED_AT_CHARACTERS], newline=""), strict=True, delimiter=separator)
    try:
        records.extend(record for record in islice(reader, _LOOKED_AT_ROWS) if record)
    except csv.Error:  # of what follows, or because the text is cut; the reading that counts reports it
        return records
    is_cut = len(text) > _LOOKED_AT_CHARACTERS and len(records) < _LOOKED_AT_ROWS
    return records[:-1] if is_cut and len(records) > 1 else records


def _has_blanks(text: str, separator: str, known: Sequence[str]) -> bool:
    """Whether a blank follows each separator of the header, as in `rooms, area`, and is no part of known names."""
    records = _first_records(text, separator)
    others = records[0][1:] if records else []
    return bool(others) and all(other.startswith(" ") for other in others) and set(known).isdisjoint(others)


def _without_padding(cells: Cells) -> Cells:
    """Without the empty columns that spreadsheets leave at the right of a table."""
    header, width = cells.header, len(cells.header)
    while width > 1 and not header[width - 1].strip() and not any(map(str.strip, cells.column(width - 1))):
        width -= 1
    if width == len(header):
        return cells
    lines = [line[:width] for line in cells.lines]
    notes = (*cells.notes, f"without {len(header) - width} empty columns at its right")
    return replace(cells, header=header[:width], lines=lines, notes=notes)


def _with_names(cells: Cells, name: str, known: Sequence[str]) -> Cells:
    """The index recognised, and each other column named once."""
    header = [_UNNAMED, *cells.header[1:]] if not cells.header[0] and _UNNAMED in known else cells.header
    cells = replace(cells, header=header, has_index=_has_index(header, cells, known, name))
    names = header[1:] if cells.has_index else header
    _require_no_values(cells, name, known)
    repeated = repeated_in(names)
    if repeated:
        raise BadUpload(f"{name} names {listed(repeated)} more than once.")
    for position, column in enumerate(header, start=1):
        if not column.strip() and not (cells.has_index and position == 1):
            raise BadUpload(f"{name}: column {position} has no name. {_NO_INDEX}")
    if not names:
        raise BadUpload(f"{name} has an index and no other column.")
    if cells.has_index:
        return replace(cells, notes=(*cells.notes, "without the index in its first column"))
    return cells


def _has_index(header: Sequence[str], cells: Cells, known: Container[str], name: str) -> bool:
    """Whether the first column is the index that `to_csv()` writes: without a name, and a whole number for each row."""
    first, numbers = header[0], [cell.strip() for cell in cells.column(0)]
    if first not in ("", _UNNAMED) or first in known:
        return False
    if all(map(_WHOLE.fullmatch, numbers)) and len(set(numbers)) == len(numbers):
        return True
    if first:
        return False
    raise BadUpload(f"{name}: the first column has no name. {_NO_INDEX}")


def _require_no_values(cells: Cells, name: str, known: Sequence[str]) -> None:
    """Raise BadUpload for a file without a header: with numbers in the first line, and no name above numbers.

    The names 0, 1, 2, … are those of a frame made from an array.
    """
    names = cells.header[int(cells.has_index) :]
    is_counted = names == [str(position) for position in range(len(names))]
    if is_counted or not set(known).isdisjoint(names) or not any(map(_is_value, names)):
        return
    for position, column in enumerate(cells.header):
        if column.strip() and not _is_value(column) and cells.lines and all(map(_is_value, cells.column(position))):
            return
    wanted = f": {listed(list(known))}" if known else ""
    raise BadUpload(
        f"{name}: the first line holds values ({listed(names[:5])}), not names of columns. Begin the file with a line "
        f"that names its columns{wanted}."
    )


def _is_value(cell: str) -> bool:
    return is_number(cell) or is_number(cell.strip().replace(",", "."))
