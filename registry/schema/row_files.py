"""Read files of rows: JSON and CSV in the layouts that `registry.tables` knows, with values as a schema says. Pure."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlserve.errors import BadUpload
from registry.schema.flattening import types_of
from registry.schema.json_files import read_json, read_json_lines
from registry.schema.record import RecordSchema, Row
from registry.tables.columns import listed
from registry.tables.json_layouts import ONE_RECORD, RECORDS, null_for_nan, records_of
from registry.tables.numbers import has_decimal_commas, is_number, like_thousands, with_point
from registry.tables.separated import Cells, cells_of
from registry.tables.text import text_of

JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
# What a file may be called; its content tells how it is read.
SUFFIXES = (".csv", ".tsv", ".txt", *JSON_SUFFIXES)

_WRITE = "Rows are a list of records or one record; a file of CSV ends in .csv."
_BEGINS_JSON = re.compile(r'\s*(\{\s*["}]|\[\s*[\[{\]])')
# As far as the largest float.
_WHOLE = re.compile(r"[+-]?[0-9]{1,308}")
# What `pandas.read_csv` reads as a missing value: most training data was read by it.
_MISSING = frozenset({"", "NA", "N/A", "n/a", "<NA>", "#N/A", "nan", "NaN", "-nan", "-NaN", "null", "NULL", "None"})


@dataclass(frozen=True)
class RowFile:
    """`rows` as the schema reads them, and `originals`, with every column of the file and a CSV's cells as text.

    `notes` say what the file is, where that is not what one would expect of it.
    """

    rows: list[Row]
    originals: list[Row]
    notes: tuple[str, ...] = ()

    @property
    def layout(self) -> str:
        """'Read as semicolon-separated, with decimal commas.', or '' for plain CSV and a list of records."""
        return f"Read as {', '.join(self.notes)}." if self.notes else ""


def read_rows(path: Path, schema: RecordSchema | None = None) -> list[Row]:
    """The rows of `read_row_file`."""
    return read_row_file(path, schema).rows


def read_row_file(path: Path, schema: RecordSchema | None = None, known: Sequence[str] = ()) -> RowFile:
    """The rows of a file whose name ends in one of SUFFIXES. Raises BadUpload with the line at fault.

    CSV cells are text; `schema` says what each column is. Without it a column becomes numbers only when every
    cell is one and none begins with a superfluous zero, so that "00123" stays a text; `known` may then name columns
    that are expected, which tells layouts apart.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadUpload(f"{path} cannot be read: {error.strerror}.") from error
    return row_file(content, path.name, schema, known)


def row_file(content: bytes, name: str, schema: RecordSchema | None = None, known: Sequence[str] = ()) -> RowFile:
    """As `read_row_file`, for a content without a file."""
    text, encoding = text_of(content, name)
    if not text.strip():
        raise BadUpload(f"{name} is empty.")
    known = (*schema.names, *schema.ignored) if schema else known
    if name.lower().endswith(JSON_SUFFIXES) or _BEGINS_JSON.match(text):
        return _from_json(text, name, encoding, known)
    return _from_csv(cells_of(text, name, known), name, encoding, schema)


def cell_value(node: dict[str, Any], text: str) -> Any:
    """A cell of text as the value that the property's type asks for; the text itself when it does not fit.

    The schema then refuses the text with a fitting message. An empty cell is null.
    """
    kind, _ = types_of(node)
    stripped = text.strip()
    if not stripped:
        return None
    if kind == "string":
        return text
    if kind == "boolean":
        return {"true": True, "false": False, "1": True, "0": False}.get(stripped.lower(), text)
    if "_" in stripped:
        return text  # Python would take it for a number
    whole = int(stripped) if _WHOLE.fullmatch(stripped) else None
    if kind == "integer" and whole is not None:
        return whole
    try:
        number = float(stripped)
    except ValueError:
        return text
    if whole is not None and whole != number:
        return whole  # float rounds numbers of more than 15 digits
    if not math.isfinite(number):
        return None if math.isnan(number) else text
    return int(number) if kind == "integer" and number.is_integer() else number


def _from_json(text: str, name: str, encoding: Sequence[str], known: Sequence[str]) -> RowFile:
    value, has_lines = _json_value(text, name)
    rows, layout = records_of(value, name, known)
    notes = [*encoding]
    if columns := null_for_nan(rows):
        notes.append(f"with NaN as null in {listed(columns)}")
    if notes or has_lines or layout not in (RECORDS, ONE_RECORD):
        notes = ["JSON lines" if has_lines else layout, *notes]
    return RowFile(rows, rows, tuple(notes))


def _json_value(text: str, name: str) -> tuple[Any, bool]:
    """(the value, whether it is a list of the values of lines)."""
    try:
        return read_json(text, allow_nan=True), False
    except ValueError as error:
        try:
            lines = read_json_lines(text, allow_nan=True)
        except ValueError as in_line:
            raise BadUpload(f"{name}, {in_line}.") from in_line
        if lines is None:
            raise BadUpload(f"{name} is not JSON: {error}. {_WRITE}") from error
        return lines, True


def _from_csv(cells: Cells, name: str, encoding: Sequence[str], schema: RecordSchema | None) -> RowFile:
    properties = schema.properties if schema else {}
    inputs = list(enumerate(cells.header))[int(cells.has_index) :]
    columns = {column: _without_markers(cells.column(position), properties.get(column)) for position, column in inputs}
    numeric = {name for name, node in properties.items() if types_of(node)[0] in ("number", "integer")}
    numbers = {
        column: [text for text in texts if text]
        for column, texts in columns.items()
        if column in numeric or column not in properties
    }
    try:
        has_commas = has_decimal_commas(numbers, numeric=numeric, separator=cells.separator)
    except ValueError as error:
        raise BadUpload(f"{name}: {error}") from error
    values: list[list[Any]] = []
    for column, texts in columns.items():
        pointed = [with_point(text) for text in texts] if has_commas and column in numbers else texts
        node = properties.get(column)
        values.append(_guess(texts, pointed) if node is None else [cell_value(node, text) for text in pointed])
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*values, strict=True)]
    originals = [dict(zip(cells.header, line, strict=True)) for line in cells.lines]
    return RowFile(rows, originals, tuple(_notes(cells, encoding, numbers, has_commas=has_commas)))


def _notes(
    cells: Cells, encoding: Sequence[str], numbers: Mapping[str, Sequence[str]], *, has_commas: bool
) -> list[str]:
    notes = [*(["with decimal commas"] if has_commas else []), *encoding, *cells.notes]
    if cells.separator == ";" and (doubtful := like_thousands(numbers)):
        example = numbers[doubtful[0]][0].strip()
        notes.append(f"with {example} in {listed(doubtful)} as a number below a thousand")
    return [cells.layout, *notes] if notes or cells.separator != "," else []


def _without_markers(cells: Sequence[str], node: Mapping[str, Any] | None) -> list[str]:
    """The cells of a column, "" for a missing value; "NA" is Namibia where the schema or the training says so."""
    known = [*node.get("enum", ()), *node.get("x-training-values", ())] if node else []
    allowed = frozenset(value for value in known if isinstance(value, str))
    return ["" if cell.strip() in _MISSING and cell not in allowed else cell for cell in cells]


def _guess(texts: Sequence[str], pointed: Sequence[str]) -> list[Any]:
    """What a column without a schema is; `pointed` are its texts with decimal points."""
    present = [text for text in pointed if text]
    if present and all(map(is_number, present)):
        return [None if not text else _number(text) for text in pointed]
    if present and all(text.lower() in ("true", "false") for text in present):
        return [None if not text else text.lower() == "true" for text in texts]
    return [text or None for text in texts]


def _number(text: str) -> float | int:
    return int(text) if text.strip().lstrip("+-").isdecimal() else float(text)
