"""Files of rows for the commands: read for a model, and written, complete or not at all, with its answers."""

import csv
import io
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlserve.errors import BadParameter, BadUpload
from registry.schema.options import any_of
from registry.schema.record import RecordSchema, Row
from registry.schema.row_files import SUFFIXES, RowFile, read_row_file, row_file
from registry.tables.columns import names_in, require_columns

STDIN = "-"
_OUT_SUFFIXES = (".csv", ".json")
_BEGIN_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
# The names of columns for these members of a result.
_COLUMN_OF = {"predictions": "prediction", "probabilities": "probability"}


def read(file: str, schema: RecordSchema) -> RowFile:
    """The rows of a file, or of stdin for `-`: CSV or JSON, told by the content. Raises BadUpload."""
    if file == STDIN:
        return row_file(sys.stdin.buffer.read(), "stdin", schema)
    path = Path(file)
    if path.suffix.lower() not in SUFFIXES:
        raise BadUpload(f"{file}: rows are read from files that end in {any_of(SUFFIXES)}, or from stdin as -.")
    return read_row_file(path, schema)


def only_columns(rows: list[Row], schema: RecordSchema, *, model: str) -> tuple[list[Row], list[str]]:
    """The rows with the columns of the schema only, and the names of the others.

    Raises BadUpload for rows without a column that the schema requires, without any of its columns, or with one that
    is only written otherwise.
    """
    columns, present = {*schema.names, *schema.ignored}, names_in(rows)
    if rows:
        needed = schema.names if columns.isdisjoint(present) else schema.json_schema["required"]
        require_columns(rows, needed, model, optional=schema.names)
    others = [name for name in present if name not in columns]
    if not others:
        return rows, []
    return [{name: value for name, value in row.items() if name in columns} for row in rows], others


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


def require_writable(path: Path) -> None:
    """Raise BadParameter for a file that cannot be written, before the work begins."""
    if path.suffix.lower() not in _OUT_SUFFIXES:
        raise BadParameter(f"--out {path} must end in {' or '.join(_OUT_SUFFIXES)}, which says how to write.")
    if path.exists() and not path.is_file():
        raise BadParameter(f"--out {path} is not a file.")
    folder = path.resolve().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise BadParameter(f"--out {path}: the folder {folder} does not exist or cannot be written to.")


def write_whole(path: Path, text: str) -> None:
    """Write the file completely or not at all, also if the process is killed meanwhile."""
    target = path.resolve()
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


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
