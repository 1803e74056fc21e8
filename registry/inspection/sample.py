"""The sample of an upload: rows that have the columns of the pipeline.

Runs in the inspection's child process.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from mlserve.errors import BadUpload
from registry.inspection import schema_sources
from registry.schema.record import RecordSchema
from registry.schema.row_files import RowFile, read_row_file
from registry.tables.columns import require_columns


def read_sample(path: Path, pipeline: Any, schema: RecordSchema | None, *, is_written: bool) -> RowFile:
    """The rows of the file at `path`. Raises BadUpload for one that is not a table of the pipeline's columns.

    `schema` is None as long as it is to be read from the pipeline and these rows; `is_written` tells that a person
    wrote it, who may allow columns to be absent.
    """
    file = read_row_file(path, schema, schema_sources.feature_names(pipeline) or ())
    if not is_written:
        file = _without_empty_rows(file)
    if not file.rows:
        raise BadUpload("The sample holds no rows.")
    if schema is not None:
        needed = schema.json_schema["required"] if is_written else schema.names
        require_columns(file.rows, needed, "the schema" if is_written else "the pipeline")
    return file


def _without_empty_rows(file: RowFile) -> RowFile:
    """Without rows in which all of several columns are empty, as spreadsheets leave them behind a table.

    They would tell that each column may be empty.
    """
    rows = [row for row in file.rows if len(row) == 1 or any(value is not None for value in row.values())]
    count = len(file.rows) - len(rows)
    if not count:
        return file
    note = f"without {count} empty {'row' if count == 1 else 'rows'}"
    return replace(file, rows=rows, notes=(*(file.notes or ("a table",)), note))
