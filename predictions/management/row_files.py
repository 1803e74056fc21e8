"""Files of rows for the commands: read for a model, and written completely or not at all."""

import os
import sys
from pathlib import Path

from mlserve.errors import BadParameter, BadUpload
from registry.schema.options import any_of
from registry.schema.record import RecordSchema, Row
from registry.schema.row_files import SUFFIXES, RowFile, read_row_file, row_file
from registry.tables.columns import names_in, require_columns

STDIN = "-"
_OUT_SUFFIXES = (".csv", ".json")


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
