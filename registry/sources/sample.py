"""The sample of an upload: rows that have the columns of the pipeline.

Runs in the inspection's child process.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlserve.errors import BadUpload
from registry.pipelines.containers import feature_names
from registry.schema.record import RecordSchema, Row
from registry.schema.row_files import RowFile, read_row_file
from registry.tables.columns import require_columns


def read_sample(path: Path, pipeline: Any, schema: RecordSchema | None, *, is_written: bool) -> RowFile:
    """The rows of the file at `path`. Raises BadUpload.

    `schema` is None as long as it is to be read from the pipeline and these rows; `is_written` tells that a person
    wrote it.
    """
    file = read_row_file(path, schema, feature_names(pipeline) or ())
    if not is_written:
        file = _without_empty_rows(file)
    if not file.rows:
        raise BadUpload("The sample holds no rows.")
    return file


def require_inputs(rows: Sequence[Row], schema: RecordSchema, *, is_written: bool) -> None:
    """Raise BadUpload with the columns that are absent: any of a pipeline, or any that a written schema requires."""
    if is_written:
        require_columns(rows, schema.json_schema["required"], "the schema", optional=schema.names)
    elif schema.container != "records":  # where a key that is absent counts as nought
        require_columns(rows, schema.names, "the pipeline")


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
