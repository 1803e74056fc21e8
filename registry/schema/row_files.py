"""Read files of rows: JSON (a record or a list of records) and CSV. Pure."""

import csv
import io
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlserve.errors import BadUpload
from registry.schema.flattening import types_of
from registry.schema.json_files import read_json
from registry.schema.record import RecordSchema, Row

# Up to here float64 represents every whole number.
_MOST_EXACT = 2**53
_WHOLE = re.compile(r"[+-]?[0-9]{1,30}")
# What `pandas.read_csv` reads as a missing value: most training data was read by it.
_MISSING = frozenset({"", "NA", "N/A", "n/a", "<NA>", "#N/A", "nan", "NaN", "-nan", "-NaN", "null", "NULL", "None"})


def read_rows(path: Path, schema: RecordSchema | None = None) -> list[Row]:
    """The rows of a `.json` or `.csv` file. Raises BadUpload with the line at fault.

    CSV cells are text; `schema` says what each column is. Without it a column becomes numbers only when every
    cell is one and none begins with a superfluous zero, so that "00123" stays a text.
    """
    if path.suffix.lower() == ".csv":
        return rows_from_csv(_text_of(path), path.name, schema)
    return rows_from_json(_text_of(path), path.name)


def rows_from_json(text: str, name: str) -> list[Row]:
    try:
        loaded = read_json(text)
    except ValueError as error:
        raise BadUpload(f"{name} is not JSON: {error}. Rows are a list of records or one record.") from error
    rows = loaded if isinstance(loaded, list) else [loaded]
    for index, row in enumerate(rows):
        if not isinstance(row, dict):
            raise BadUpload(f"{name}: row {index} is not a record {{…}}.")
    return rows


def rows_from_csv(text: str, name: str, schema: RecordSchema | None) -> list[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        # With the line on which each row ends: empty lines count, too, and a cell may span several.
        table = [(reader.line_num, line) for line in reader if line]
    except csv.Error as error:
        raise BadUpload(f"{name}, line {reader.line_num}: {error}.") from error
    if not table:
        raise BadUpload(f"{name} is empty; the first line must name the columns.")
    (_, header), *lines = table
    repeated = sorted({column for column in header if header.count(column) > 1})
    if repeated:
        raise BadUpload(f"{name} names {', '.join(repeated)} more than once.")
    for number, line in lines:
        if len(line) != len(header):
            raise BadUpload(f"{name}, line {number}: {len(line)} cells, but the header names {len(header)}.")
    properties = schema.properties if schema else {}
    columns: list[list[Any]] = []
    for position, column in enumerate(header):
        cells = [line[position] for _, line in lines]
        if column in properties:
            node = properties[column]
            # "NA" is Namibia where the schema says so.
            columns.append([cell_value(node, _blank_if_missing(cell, node.get("enum", ()))) for cell in cells])
        else:
            columns.append(_guess(cells))
    return [dict(zip(header, row, strict=True)) for row in zip(*columns, strict=True)]


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
    try:
        if _WHOLE.fullmatch(stripped) and (kind == "integer" or abs(int(stripped)) > _MOST_EXACT):
            return int(stripped)  # not through float, which rounds numbers of more than 15 digits
        number = float(stripped)
    except ValueError:
        return text
    if not math.isfinite(number):
        return None if math.isnan(number) else text
    return int(number) if kind == "integer" and number.is_integer() else number


def _text_of(path: Path) -> str:
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadUpload(f"{path.name} is not UTF-8 text (byte {error.start}). Save it as UTF-8.") from error
    except OSError as error:
        raise BadUpload(f"{path} cannot be read: {error.strerror}.") from error
    if "\x00" in text:
        raise BadUpload(f"{path.name} holds the character NUL. Save it as UTF-8 text.")
    return text


def _blank_if_missing(cell: str, allowed: Sequence[Any] = ()) -> str:
    return "" if cell.strip() in _MISSING and cell not in allowed else cell


def _guess(cells: Sequence[str]) -> list[Any]:
    texts = [_blank_if_missing(cell) for cell in cells]
    present = [text for text in texts if text]
    if present and all(_is_plain_number(text) for text in present):
        return [None if not text else _number(text) for text in texts]
    if present and all(text.lower() in ("true", "false") for text in present):
        return [None if not text else text.lower() == "true" for text in texts]
    return [text or None for text in texts]


def _is_plain_number(text: str) -> bool:
    digits = text.strip().lstrip("+-")
    if len(digits) > 1 and digits[0] == "0" and digits[1].isdigit():
        return False
    try:
        return abs(float(text)) < float("inf")
    except ValueError:
        return False


def _number(text: str) -> float | int:
    return int(text) if text.strip().lstrip("+-").isdecimal() else float(text)
