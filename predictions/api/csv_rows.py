"""Rows and results as CSV: `Content-Type: text/csv` in, `Accept: text/csv` out, with the same schema as JSON."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

import orjson
from django.conf import settings
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from mlserve.errors import BadUpload, NotCsv, TooLarge
from mlserve.http.jsonbody import body_of, json_of
from mlserve.http.renderers import CsvRenderer
from predictions.models import Prediction
from predictions.store.csv_answers import with_answers
from registry.schema.record import RecordSchema
from registry.schema.row_files import row_file

MEDIA_TYPE = f"{CsvRenderer.media_type}; charset=utf-8"
# Beyond a model's own columns, so that all names of a file of another kind are not looked at.
_MOST_OTHER_COLUMNS = 1000
_SEPARATORS = b",;\t|"
_END_OF_LINE = re.compile(rb"[\r\n]")


@dataclass(frozen=True)
class CsvBody:
    """A body whose cells are texts until the schema of a model says what they are."""

    content: bytes


class CsvParser(BaseParser):
    media_type = CsvRenderer.media_type

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """A `CsvBody`, of which the view makes rows, for it knows the model."""
        return CsvBody(body_of(stream, parser_context))


def payload_of(request: Request, schema: RecordSchema) -> Any:
    """One record or a list of records: the body as it is in JSON, or the rows of a table by `schema`.

    Raises NotJson, NotCsv, TooLarge.
    """
    body = json_of(request)
    if not isinstance(body, CsvBody):
        return body
    _require_bounded(body.content, schema)
    try:
        return row_file(body.content, "The body", schema).rows
    except BadUpload as error:
        raise NotCsv(error.detail) from error


def csv_of(prediction: Prediction) -> str:
    """A line for each row of a prediction with a result: `prediction`, `probability_<class>` and so on, `warnings`."""
    result = orjson.loads(prediction.result_json or b"{}")
    warnings: list[list[str]] = [[] for _ in range(prediction.row_count)]
    for warning in orjson.loads(prediction.warnings):
        warnings[warning["row"]].append(f"{warning['column']}: {warning['detail']}")
    answers = {name: values for name, values in result.items() if values is not None}
    answers["warnings"] = ["; ".join(each) for each in warnings]
    return with_answers([{} for _ in warnings], answers)


def _require_bounded(content: bytes, schema: RecordSchema) -> None:
    """Raise TooLarge or NotCsv for a table that needs many times the memory of its bytes, before it is read."""
    most_rows = settings.MLSERVE_MAX_ROWS
    # Twice as many, for a cell may hold an end of a line.
    if max(content.count(b"\n"), content.count(b"\r")) > 2 * most_rows + 1:
        raise TooLarge(
            f"The body has more than {2 * most_rows} lines; at most {most_rows} rows fit into one request "
            "(MLSERVE_MAX_ROWS). Send them in several requests."
        )
    header = _END_OF_LINE.split(content.lstrip(b"\r\n"), maxsplit=1)[0]
    most_columns = len(schema.training_columns) + _MOST_OTHER_COLUMNS
    if max(header.count(separator) for separator in _SEPARATORS) > most_columns:
        raise NotCsv(
            f"The first line names more than {most_columns} columns; the model has {len(schema.names)}. The first line "
            "names the columns, each further one is a row."
        )
