"""The checks of what goes into the pipeline: the schema, the sample, and the form."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlserve.errors import BadUpload, InvalidRows
from registry.inspection.child_report import MAX_GOLDEN_ROWS
from registry.inspection.inspection import Failed, Inspection
from registry.inspection.report import Check
from registry.schema.form_config import checked_form_config
from registry.schema.options import shown
from registry.schema.privacy import description
from registry.schema.record import RecordSchema, Row
from registry.schema.violations import pointer
from registry.sources import answer_files, schemas, signatures
from registry.sources.pydantic_classes import from_pydantic
from registry.sources.sample import read_sample, require_inputs

MAX_SAMPLE_ROWS = 10_000
_SHOWN_COLUMNS = 30

_NOT_RUN_FIX = "Let the pipeline do what changes values; state limits with Field(ge=…, max_length=…) or Literal."
_DOUBTS_FIX = "Compare this with the training data; a schema that is given can say it otherwise."
_SCHEMA_FIX = "Give `schema`: a Python file with a pydantic class, or a JSON Schema file, of one raw record."
_PATTERN_FIX = (
    "Write the pattern so that a text can match it in one way only, without a repetition inside of a repetition; "
    "without look-around ((?=…), (?!…), (?<=…), (?<!…)) and references back (\\1) each pattern takes little time."
)
_SAMPLE_FIX = "Give `sample`: some real rows, so that the inspection and later checks mean something."
_MARKED_FIX = "Replace them by invented values, unless they are invented already."
_READABLE_SAMPLE_FIX = (
    "Give rows with the raw columns, named as in training: CSV with a header line, as to_csv(index=False) writes, or "
    "JSON, as to_json(orient='records', date_format='iso') does."
)
_DATES_FIX = "Write dates as text, as to_csv does, and to_json(orient='records', date_format='iso')."
_COLUMN_FIX = "Name the column of the sample that holds the answers, and no input of the pipeline."


def check_schema(inspection: Inspection) -> Check:
    if (stored := inspection.request["stored"]) is not None:
        inspection.schema = RecordSchema.from_stored(stored["schema"], stored["columns"], stored["container"])
        inspection.rows = stored["rows"]
        return Check("schema", "passed", f"{len(inspection.schema.columns)} columns, as registered.")
    written = None
    try:
        written = _written_schema(inspection)
        # The schema may need the sample, whose cells are text until the schema gives the types of its columns.
        inspection.rows = _sample(inspection, None if written is None else RecordSchema.from_json_schema(written))
        if written is None:
            read = schemas.from_pipeline(inspection.pipeline, inspection.rows)
        elif signatures.is_signature(written):
            read = signatures.from_signature(written, inspection.pipeline, inspection.rows)
        else:
            read = schemas.explicit(written, inspection.pipeline, inspection.rows)
        _require_categories(read.schema)
    except BadUpload as error:
        fix = _SCHEMA_FIX if written is None else "Correct `schema`."
        raise Failed(Check("schema", "failed", f"{error.detail}{inspection.layout}", fix)) from error
    inspection.schema, inspection.guessed = read.schema, read.guessed
    inspection.rows = _sample(inspection, inspection.schema, is_final=True)
    read_from = "the pipeline and the sample" if inspection.rows else "the pipeline"
    source = signatures.source_of(written) or inspection.request["schema_kind"] or read_from
    detail = _described(read, source)
    doubts = [*read.doubts, *([f"Not run for rows: {'; '.join(inspection.not_run)}."] if inspection.not_run else [])]
    slow = _slow_patterns(read.schema)
    if doubts or slow:
        fixes = [*([_DOUBTS_FIX] if read.doubts else []), *([_NOT_RUN_FIX] if inspection.not_run else [])]
        fixes, doubts = [*fixes, *([_PATTERN_FIX] if slow else [])], [*doubts, *slow]
        return Check("schema", "warning", f"{detail} {' '.join(doubts)}", " ".join(fixes))
    return Check("schema", "passed", detail)


def check_accepts(inspection: Inspection) -> Check:
    schema = inspection.require_schema()
    made_up = not inspection.rows
    if made_up:
        inspection.rows = [schema.example()]
    known = set(schema.names)
    extra = sorted({name for row in inspection.rows for name in row} - known - set(schema.ignored))
    inspection.rows = [{name: value for name, value in row.items() if name in known} for row in inspection.rows]
    try:
        inspection.rows = schema.validated(inspection.rows)
    except InvalidRows as error:
        raise Failed(_refused_sample(error, schema, made_up, inspection.layout)) from error
    inspection.version_fields["sample_rows"] = inspection.rows[:MAX_GOLDEN_ROWS]
    if made_up:
        return Check("accepts", "warning", "No sample rows were given; one was made up from the schema.", _SAMPLE_FIX)
    if shown := sorted(name for name in schema.marks if any(row.get(name) is not None for row in inspection.rows)):
        fit = f"{len(inspection.rows)} rows fit. {_shown_sample(shown)}{inspection.layout}"
        return Check("accepts", "warning", fit, _MARKED_FIX)
    if extra:
        return Check(
            "accepts",
            "warning",
            f"{len(inspection.rows)} rows fit. The sample's {', '.join(extra)} is not an input and was left out."
            f"{inspection.layout}",
            "Fine for the target column; otherwise add the column to the schema.",
        )
    return Check("accepts", "passed", f"{len(inspection.rows)} sample rows fit.{inspection.layout}")


def check_form(inspection: Inspection) -> Check:
    if inspection.request["form_config"] is None:
        return Check("form", "passed", "No form configuration; the form is made from the schema.")
    try:
        checked_form_config(inspection.request["form_config"], inspection.require_schema().names)
    except BadUpload as error:
        raise Failed(Check("form", "failed", error.detail, "Correct the form file.")) from error
    return Check("form", "passed", "Every field is a column.")


def _written_schema(inspection: Inspection) -> dict[str, Any] | None:
    kind, path = inspection.request["schema_kind"], inspection.request["schema_path"]
    if kind is None:
        return None
    if kind == "pydantic":
        schema, inspection.not_run = from_pydantic(Path(path), inspection.request["schema_class"])
        return schema
    return schemas.from_json_file(Path(path))


def _sample(inspection: Inspection, schema: RecordSchema | None, *, is_final: bool = False) -> list[Row]:
    path, is_written = inspection.request["sample"], inspection.request["schema_kind"] is not None
    if path is None:
        return []
    try:
        sample = read_sample(Path(path), inspection.pipeline, schema, is_written=is_written)
        if schema is not None and is_final:
            require_inputs(sample.rows, schema, is_written=is_written)
    except BadUpload as error:
        raise Failed(Check("accepts", "failed", error.detail, _READABLE_SAMPLE_FIX)) from error
    inspection.layout = f" {sample.layout}" if sample.layout else ""
    inspection.sample_size = len(sample.rows)
    inspection.sample_names = frozenset(name for row in sample.rows for name in row)
    try:
        return answer_files.without_column(sample.rows[:MAX_SAMPLE_ROWS], inspection.request["expected_column"], schema)
    except BadUpload as error:
        raise Failed(Check("answers", "failed", error.detail, _COLUMN_FIX)) from error


def _described(read: schemas.ReadSchema, source: str) -> str:
    """The inputs with their types, what is guessed, and what is ignored."""
    schema, guessed = read.schema, set(read.guessed)
    shown = ", ".join(
        f"{column.name} ({column.dtype}{', guessed' if column.name in guessed else ''})"
        for column in schema.columns[:_SHOWN_COLUMNS]
    )
    more = f" and {len(schema.columns) - _SHOWN_COLUMNS} more" if len(schema.columns) > _SHOWN_COLUMNS else ""
    what = {"texts": ", given as texts", "records": ", given as dicts"}.get(schema.container, "")
    hidden = sorted(guessed - {column.name for column in schema.columns[:_SHOWN_COLUMNS]})
    counted = "1 column" if len(schema.columns) == 1 else f"{len(schema.columns)} columns"
    parts = [f"{counted} from {source}{what}: {shown}{more}.{description(schema.marks)}"]
    if hidden:
        parts.append(f"Guessed as well: {', '.join(hidden)}.")
    if schema.ignored:
        parts.append(f"The pipeline drops {', '.join(schema.ignored)}: accepted in a row and ignored.")
    return " ".join(parts)


def _slow_patterns(schema: RecordSchema) -> list[str]:
    return [
        f"The pattern of the column {name!r} takes too long for some texts, such as {shown(text)}: a request with such "
        "a text is refused with 422."
        for name, text in schema.slow_texts().items()
    ]


def _require_categories(schema: RecordSchema) -> None:
    """A category column without its values would get other categories in each batch. Raises BadUpload."""
    for column in schema.columns:
        if column.dtype == "category" and not schema.properties[column.name].get("enum"):
            raise BadUpload(f"The column {column.name!r} has the dtype category, but no values: give it an enum.")


def _shown_sample(names: Sequence[str]) -> str:
    return (
        f"They, at most {MAX_GOLDEN_ROWS}, are kept with the version and shown as examples, also {', '.join(names)}, "
        "which the schema redacts in predictions."
    )


def _refused_sample(error: InvalidRows, schema: RecordSchema, made_up: bool, layout: str) -> Check:
    shown = "; ".join(f"{each.pointer} {each.detail}" for each in error.errors[:5])
    more = f" (and {error.total - 5} more)" if error.total > 5 else ""
    if made_up:
        return Check("accepts", "failed", f"No row could be made up from the schema: {shown}.", _SAMPLE_FIX)
    days = {pointer(name)[1:] for name, node in schema.properties.items() if "format" in node}
    is_epoch = any(
        each.detail.startswith("must be a string") and each.pointer.endswith(tuple(days)) for each in error.errors
    )
    fix = _DATES_FIX if days and is_epoch else "Correct the schema or the sample: they contradict each other."
    return Check("accepts", "failed", f"{shown}{more}.{layout}", fix)
