"""The inspection itself: runs in a child process (`python -m registry.inspection.child FOLDER`) without Django.

Reads `request.json` in the folder, enters the sandbox, and appends one JSON line per finished check to `result.jsonl`,
so that the checks before a crash are not lost. The last line has the version's fields as read from the artifact.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mlserve.errors import BadUpload, InvalidRows
from mlserve.processes.orphans import end_with_parent
from registry.formats import loading
from registry.inspection import answer_files, probing, schema_sources, signatures, trainer_answers, versions
from registry.inspection.child_report import why_not_stored
from registry.inspection.predict_steps import step_for
from registry.inspection.pydantic_classes import from_pydantic
from registry.inspection.report import REQUEST_FILE, RESULT_FILE, Check
from registry.inspection.sample import read_sample, require_inputs
from registry.pipelines import calls
from registry.pipelines.environment import installed_here
from registry.pipelines.errors import NotJsonable, Unusable, WrongAnswerCount
from registry.pipelines.frames import to_input
from registry.pipelines.golden_comparison import same_answer
from registry.pipelines.kept_values import first_changed_value
from registry.pipelines.wrappers import as_pipeline
from registry.sandbox.sandbox import Sandbox, enter
from registry.schema.form_config import checked_form_config
from registry.schema.privacy import description
from registry.schema.record import RecordSchema, Row

MAX_SAMPLE_ROWS = 10_000
MAX_GOLDEN_ROWS = 100
_ROWS_ONE_BY_ONE = 25
_SHOWN_NAMES, _SHOWN_COLUMNS = 20, 30
# Of the time that an inspection may take: a slow pipeline must not fail because of what is only tried.
_PROBING_SHARE = 0.25


class _Failed(Exception):
    """Ends the inspection with a failed check."""

    def __init__(self, check: Check) -> None:
        super().__init__(check.detail)
        self.check = check


@dataclass
class _Inspection:
    """The state that the checks share. Each `check_…` returns its Check or raises _Failed."""

    request: dict[str, Any]
    # The other versions of scikit-learn by which it was trained, and that of here.
    trained_with: tuple[str, ...] = ()
    here: dict[str, str] = field(default_factory=installed_here)
    # Whether nothing but the version explains what failed.
    _is_by_version: bool = False
    pipeline: Any = None
    schema: RecordSchema | None = None
    guessed: tuple[str, ...] = ()
    rows: list[Row] = field(default_factory=list)
    sample_size: int = 0
    layout: str = ""  # of the sample's file, as a sentence behind others
    answers: dict[str, list[Any]] = field(default_factory=dict)
    version_fields: dict[str, Any] = field(default_factory=dict)
    not_run: list[str] = field(default_factory=list)

    def steps(self) -> list[Callable[[], Check]]:
        return [
            self.check_names,
            self.check_loads,
            self.check_pipeline,
            self.check_environment,
            self.check_schema,
            self.check_accepts,
            self.check_predicts,
            self.check_answers,
            self.check_json,
            self.check_batching,
            self.check_nulls,
            self.check_form,
        ]

    def check_names(self) -> Check:
        """Runs before the file is loaded. An unreadable file is reported as a failure of the next check, `loads`."""
        path, trusted = Path(self.request["artifact"]), self.request["trusted_modules"]
        try:
            contents = loading.read_contents(path, max_bytes=self.request["memory_bytes"])
        except loading.Refused as error:
            raise _Failed(Check("names", "failed", error.detail, error.fix)) from error
        except loading.CannotLoad as error:
            raise _Failed(Check("loads", "failed", error.detail, error.fix)) from error
        self.trained_with = tuple(each for each in contents.trained_with if each != self.here["scikit-learn"])
        if refused := loading.refused(contents.names, trusted):
            raise _Failed(self._refused_names(refused))
        return Check("names", "passed", f"{len(contents.names)} names, all of them trusted.")

    def check_loads(self) -> Check:
        started = time.monotonic()
        try:
            loaded = loading.load(
                Path(self.request["artifact"]),
                trusted=self.request["trusted_modules"],
                max_bytes=self.request["memory_bytes"],
            )
        except loading.CannotLoad as error:
            self._is_by_version = not isinstance(error, loading.Refused)
            raise _Failed(Check("loads", "failed", error.detail, error.fix)) from error
        self.pipeline = as_pipeline(loaded.pipeline)
        seconds = time.monotonic() - started
        self.version_fields["artifact_format"] = loaded.format
        self.version_fields["load_seconds"] = round(seconds, 3)
        self.version_fields["mismatches"] = [asdict(mismatch) for mismatch in loaded.mismatches]
        return Check("loads", "passed", f"A {loaded.format} file, loaded in {seconds:.2f} s.")

    def check_pipeline(self) -> Check:
        try:
            calls.require_fitted_pipeline(self.pipeline)
        except Unusable as error:
            raise _Failed(Check("pipeline", "failed", error.detail, error.fix)) from error
        calls.use_one_thread(self.pipeline)
        self.version_fields["outputs"] = calls.available_outputs(self.pipeline)
        self.version_fields["class_labels"] = calls.class_labels(self.pipeline)
        steps = " → ".join(f"{name} ({type(step).__name__})" for name, step in self.pipeline.steps)
        return Check("pipeline", "passed", f"{steps}; it can {', '.join(self.version_fields['outputs'])}.")

    def check_environment(self) -> Check:
        mismatches = self.version_fields.pop("mismatches")
        trained = sorted({mismatch["trained_with"] for mismatch in mismatches})
        # scikit-learn is the only package that writes its version into a pickle.
        self.version_fields["environment"] = {
            "inspected_with": self.here,
            "trained_with": {"scikit-learn": ", ".join(trained) or self.here["scikit-learn"]},
        }
        if not mismatches:
            return Check("environment", "passed", f"Trained with scikit-learn {self.here['scikit-learn']}, as is here.")
        names = ", ".join(dict.fromkeys(mismatch["estimator"] for mismatch in mismatches))
        detail = (
            f"{versions.trained(trained, self.here['scikit-learn'])} ({names}). "
            "Loading across versions is not supported by scikit-learn and may change answers."
        )
        fix = versions.mend(trained, self.here["scikit-learn"])
        if self.request["allow_other_versions"]:
            return Check("environment", "warning", f"{detail} It was allowed.", fix)
        # The other checks still run: a user who may allow it needs their results for the decision.
        return Check("environment", "failed", detail, f"{fix}{versions.ALLOW}")

    def check_schema(self) -> Check:
        if (stored := self.request["stored"]) is not None:
            self.schema = RecordSchema.from_stored(stored["schema"], stored["columns"], stored["container"])
            self.rows = stored["rows"]
            return Check("schema", "passed", f"{len(self.schema.columns)} columns, as registered.")
        written = None
        try:
            written = self._written_schema()
            # The schema may need the sample, whose cells are text until the schema gives the types of its columns.
            self.rows = self._sample(None if written is None else RecordSchema.from_json_schema(written))
            if written is None:
                read = schema_sources.from_pipeline(self.pipeline, self.rows)
            elif signatures.is_signature(written):
                read = signatures.from_signature(written, self.pipeline, self.rows)
            else:
                read = schema_sources.explicit(written, self.pipeline, self.rows)
            _require_categories(read.schema)
        except BadUpload as error:
            fix = _SCHEMA_FIX if written is None else "Correct the schema."
            raise _Failed(Check("schema", "failed", f"{error.detail}{self.layout}", fix)) from error
        self.schema, self.guessed = read.schema, read.guessed
        self.rows = self._sample(self.schema, is_final=True)
        source = signatures.source_of(written) or self.request["schema_kind"] or "the pipeline and the sample"
        detail = _described(read, source)
        doubts = [*read.doubts, *([f"Not run for rows: {'; '.join(self.not_run)}."] if self.not_run else [])]
        if doubts:
            fixes = [*([_DOUBTS_FIX] if read.doubts else []), *([_NOT_RUN_FIX] if self.not_run else [])]
            return Check("schema", "warning", f"{detail} {' '.join(doubts)}", " ".join(fixes))
        return Check("schema", "passed", detail)

    def check_accepts(self) -> Check:
        schema = self._require_schema()
        made_up = not self.rows
        if made_up:
            self.rows = [schema.example()]
        known = {*schema.names, *schema.ignored}
        extra = sorted({name for row in self.rows for name in row if name not in known})
        self.rows = [{name: value for name, value in row.items() if name in known} for row in self.rows]
        self.version_fields["sample_rows"] = self.rows[:MAX_GOLDEN_ROWS]
        try:
            schema.validated(self.rows)
        except InvalidRows as error:
            raise _Failed(_refused_sample(error, made_up, self.layout)) from error
        if made_up:
            return Check(
                "accepts", "warning", "No sample rows were given; one was made up from the schema.", _SAMPLE_FIX
            )
        if shown := sorted(name for name in schema.marks if any(row.get(name) is not None for row in self.rows)):
            fit = f"{len(self.rows)} rows fit. {_shown_sample(shown)}{self.layout}"
            return Check("accepts", "warning", fit, _MARKED_FIX)
        if extra:
            return Check(
                "accepts",
                "warning",
                f"{len(self.rows)} rows fit. The sample's {', '.join(extra)} is not an input and was left out."
                f"{self.layout}",
                "Fine for the target column; otherwise add the column to the schema.",
            )
        return Check("accepts", "passed", f"{len(self.rows)} sample rows fit.{self.layout}")

    def check_predicts(self) -> Check:
        rows, schema = self.version_fields["sample_rows"], self._require_schema()
        started = time.monotonic()
        try:
            self.answers = calls.run(self.pipeline, schema, rows, self.version_fields["outputs"])
            if len(rows) == 1:
                # A pipeline that gives one answer to whatever it is asked gives it to a single row, too.
                calls.run(self.pipeline, schema, [*rows, *rows], self.version_fields["outputs"])
        except WrongAnswerCount as error:
            raise _Failed(Check("predicts", "failed", f"{error}.", _COUNT_FIX)) from error
        except NotJsonable as error:
            where = "" if error.row is None else f"Row {error.row}: "
            raise _Failed(Check("json", "failed", f"{where}{error}.", _JSON_FIX)) from error
        except Exception as error:  # the pipeline is the uploader's code, which may raise anything
            fix = _PREDICTS_FIX if schema.container == "frame" else f"{_PREDICTS_FIX} {_ARRAY_FIX}"
            detail = f"{type(error).__name__}: {error}"
            raise _Failed(Check("predicts", "failed", detail, f"{fix}{step_for(error)}")) from error
        milliseconds = (time.monotonic() - started) * 1000
        shown = ", ".join(json.dumps(answer) for answer in self.answers["predictions"][:5])
        return Check("predicts", "passed", f"{len(rows)} rows in {milliseconds:.0f} ms: {shown}, …")

    def check_answers(self) -> Check:
        if self.request["stored"] is not None:
            return Check("answers", "passed", "As registered.")
        schema, found = self._require_schema(), self.version_fields
        if changed := first_changed_value(schema, self.rows, to_input(schema, self.rows)):
            raise _Failed(Check("answers", "failed", changed.detail, _CHANGED_FIX))
        try:
            trainer = answer_files.given_answers(self.request, found["class_labels"])
            if trainer is None:
                return trainer_answers.absent(guessed=self.guessed)
            outputs = trainer_answers.outputs_for(trainer, found["outputs"], row_count=self.sample_size)
            served = calls.run(self.pipeline, schema, self.rows, outputs)
            detail = trainer_answers.require_same(trainer, served, found["class_labels"])
        except BadUpload as error:
            raise _Failed(Check("answers", "failed", error.detail, trainer_answers.FIX)) from error
        except Exception as error:  # the pipeline is the uploader's code, which may raise anything
            detail = f"The {len(self.rows)} sample rows cannot be predicted: {type(error).__name__}: {error}"
            raise _Failed(Check("answers", "failed", detail, _PREDICTS_FIX)) from error
        return Check("answers", "passed", detail)

    def check_json(self) -> Check:
        if json.loads(json.dumps(self.answers, allow_nan=False)) != self.answers:
            raise _Failed(Check("json", "failed", "The answers change on their way through JSON.", _JSON_FIX))
        # The parent would take them for a forgery.
        kept = {"schema": self._require_schema().json_schema, **self.version_fields}
        for name, value in kept.items():
            if problem := why_not_stored(value):
                raise _Failed(Check("json", "failed", f"Its {name.replace('_', ' ')} has {problem}.", _STORED_FIX))
        self.version_fields["golden_outputs"] = self.answers
        return Check("json", "passed", "The same before and after.")

    def check_batching(self) -> Check:
        rows = self.version_fields["sample_rows"][:_ROWS_ONE_BY_ONE]
        schema = self._require_schema()
        differing = None
        for index, row in enumerate(rows):
            try:
                alone = calls.run(self.pipeline, schema, [row], self.version_fields["outputs"])
            except Exception as error:  # the pipeline is the uploader's code, which may raise anything
                detail = f"Row {index} cannot be predicted alone: {type(error).__name__}: {error}"
                raise _Failed(Check("batching", "failed", detail, _BATCHING_FIX)) from error
            if not all(same_answer(alone[name][0], self.answers[name][index]) for name in alone):
                differing = index
                break
        self.version_fields["is_batchable"] = differing is None
        if differing is None:
            return Check("batching", "passed", f"{len(rows)} rows compared.")
        if self.request["expected"] or self.request["expected_column"]:
            detail = f"Row {differing} gets another answer alone than among others, where it is the trainer's."
            raise _Failed(Check("batching", "failed", detail, _BATCHING_FIX))
        return Check(
            "batching",
            "warning",
            f"Row {differing} gets another answer alone than among others. The version is marked not batchable: "
            "its rows are predicted one at a time, which is slow.",
            _BATCHING_FIX,
        )

    def check_nulls(self) -> Check:
        if self.request["stored"] is not None:
            return Check("nulls", "passed", "As registered.")
        found, seconds = self.version_fields, self.request["cpu_seconds"] * _PROBING_SHARE
        probed = probing.probe(
            self.pipeline, self._require_schema(), found["sample_rows"], found["outputs"], seconds=seconds
        )
        self.schema = probed.schema
        return probed.check

    def check_form(self) -> Check:
        if self.request["form_config"] is None:
            return Check("form", "passed", "No form configuration; the form is made from the schema.")
        try:
            checked_form_config(self.request["form_config"], self._require_schema().names)
        except BadUpload as error:
            raise _Failed(Check("form", "failed", error.detail, "Correct the form file.")) from error
        return Check("form", "passed", "Every field is a column.")

    def explained(self, check: Check) -> Check:
        """A failed check, with the versions said first where another scikit-learn trained the artifact."""
        if not self.trained_with or (check.name == "loads" and not self._is_by_version):
            return check
        return versions.explained(check, self.trained_with, self.here["scikit-learn"], is_cause=self._is_by_version)

    def _refused_names(self, refused: list[loading.Refusal]) -> Check:
        """Names that would be run come first, then those that would only be referred to."""
        self._is_by_version = all(each.reference.module.partition(".")[0] == "sklearn" for each in refused)
        if self.trained_with and self._is_by_version:
            missing = ", ".join(str(each.reference) for each in refused[:_SHOWN_NAMES])
            return Check("names", "failed", f"it refers to {missing}.")
        shown = "; ".join(f"{each.does} {each.reference}" for each in refused[:_SHOWN_NAMES])
        more = f" (and {len(refused) - _SHOWN_NAMES} more)" if len(refused) > _SHOWN_NAMES else ""
        fix = loading.how_to_fix(refused, self.request["trusted_modules"])
        return Check("names", "failed", f"This file would {shown}{more}.", fix)

    def _written_schema(self) -> dict[str, Any] | None:
        kind, path = self.request["schema_kind"], self.request["schema_path"]
        if kind is None:
            return None
        if kind == "pydantic":
            schema, self.not_run = from_pydantic(Path(path), self.request["schema_class"])
            return schema
        return schema_sources.from_json_file(Path(path))

    def _sample(self, schema: RecordSchema | None, *, is_final: bool = False) -> list[Row]:
        path, is_written = self.request["sample"], self.request["schema_kind"] is not None
        if path is None:
            return []
        try:
            sample = read_sample(Path(path), self.pipeline, schema, is_written=is_written)
            if schema is not None and is_final:
                require_inputs(sample.rows, schema, is_written=is_written)
        except BadUpload as error:
            raise _Failed(Check("accepts", "failed", error.detail, _READABLE_SAMPLE_FIX)) from error
        self.layout = f" {sample.layout}" if sample.layout else ""
        self.sample_size = len(sample.rows)
        try:
            return answer_files.without_column(sample.rows[:MAX_SAMPLE_ROWS], self.request["expected_column"], schema)
        except BadUpload as error:
            raise _Failed(Check("answers", "failed", error.detail, _COLUMN_FIX)) from error

    def _require_schema(self) -> RecordSchema:
        if self.schema is None:
            raise AssertionError("check_schema runs before the checks that need a schema")
        return self.schema


_NOT_RUN_FIX = "Let the pipeline do what changes values; state limits with Field(ge=…, max_length=…) or Literal."
_DOUBTS_FIX = "Compare this with the training data; a schema that is given can say it otherwise."
_COUNT_FIX = (
    "Each row needs one answer. A step that wants another input than it gets, such as texts instead of a table, often "
    "answers like this: let the pipeline begin with a ColumnTransformer that picks its columns."
)
_SCHEMA_FIX = "Give `schema`: a Python file with a pydantic class, or a JSON Schema file, of one raw record."
_SAMPLE_FIX = "Give `sample`: some real rows, so that the inspection and later checks mean something."
_MARKED_FIX = "Replace them by invented values, unless they are invented already."
_READABLE_SAMPLE_FIX = (
    "Give rows with the raw columns, named as in training: CSV with a header line, as to_csv(index=False) writes, or "
    "JSON, as to_json(orient='records') does."
)
_PREDICTS_FIX = "Check that the pipeline takes the raw columns as they are, with these dtypes, in a fresh Python."
_ARRAY_FIX = (
    "It gets an array, because it has n_features_in_ without feature_names_in_: if its first step is a class of your "
    "own that wants a frame, let it set neither."
)
_CHANGED_FIX = (
    "Give the column an x-dtype that holds the value, such as Int64, and train with it; or, if the training rounded it "
    "too, put the rounded value into the sample."
)
_COLUMN_FIX = "Name the column of the sample that holds the answers, and no input of the pipeline."
_BATCHING_FIX = "Look for a step that computes something over the rows it is given instead of the training data."
_STORED_FIX = (
    "Replace it in the schema, the sample or the training data. A default of NaN says that a value may be missing: "
    "let the column be nullable (float | None = None)."
)
_JSON_FIX = "Let the pipeline answer finite numbers, strings or booleans."


def _described(read: schema_sources.ReadSchema, source: str) -> str:
    """The inputs with their types, what is guessed, and what is ignored."""
    schema, guessed = read.schema, set(read.guessed)
    shown = ", ".join(
        f"{column.name} ({column.dtype}{', guessed' if column.name in guessed else ''})"
        for column in schema.inputs[:_SHOWN_COLUMNS]
    )
    more = f" and {len(schema.inputs) - _SHOWN_COLUMNS} more" if len(schema.inputs) > _SHOWN_COLUMNS else ""
    what = {"texts": ", given as texts", "records": ", given as dicts"}.get(schema.container, "")
    hidden = sorted(guessed - {column.name for column in schema.inputs[:_SHOWN_COLUMNS]})
    counted = "1 column" if len(schema.inputs) == 1 else f"{len(schema.inputs)} columns"
    parts = [f"{counted} from {source}{what}: {shown}{more}.{description(schema.marks)}"]
    if hidden:
        parts.append(f"Guessed as well: {', '.join(hidden)}.")
    if schema.ignored:
        parts.append(f"The pipeline drops {', '.join(schema.ignored)}: accepted in a row and ignored.")
    return " ".join(parts)


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


def _refused_sample(error: InvalidRows, made_up: bool, layout: str) -> Check:
    shown = "; ".join(f"{each.pointer} {each.detail}" for each in error.errors[:5])
    more = f" (and {error.total - 5} more)" if error.total > 5 else ""
    if made_up:
        return Check("accepts", "failed", f"No row could be made up from the schema: {shown}.", _SAMPLE_FIX)
    return Check(
        "accepts", "failed", f"{shown}{more}.{layout}", "Correct the schema or the sample: they contradict each other."
    )


def _sandbox_for(folder: Path, request: dict[str, Any], result: int) -> Sandbox:
    files = [Path(request[name]) for name in ("artifact", "schema_path", "sample", "expected") if request[name]]
    return Sandbox(request["memory_bytes"], request["cpu_seconds"], (folder, *files), (result,))


def main(arguments: Sequence[str]) -> None:
    folder = Path(arguments[0])
    request = json.loads((folder / REQUEST_FILE).read_text("utf-8"))
    end_with_parent(request["parent"])
    inspection = _Inspection(request)
    with (folder / RESULT_FILE).open("a", encoding="utf-8") as out:

        def emit(line: dict[str, Any]) -> None:
            out.write(json.dumps(line) + "\n")
            out.flush()

        # From here on the uploader's code may run: the artifact's, and that of its schema.
        emit({"sandbox": enter(_sandbox_for(folder, request, out.fileno()))})
        for step in inspection.steps():
            try:
                emit({"check": asdict(step())})
            except _Failed as failed:
                emit({"check": asdict(inspection.explained(failed.check))})
                return
        schema = inspection._require_schema()
        emit(
            {
                "version_fields": {
                    **inspection.version_fields,
                    "schema": schema.json_schema,
                    "columns": schema.stored_columns(),
                    "container": schema.container,
                }
            }
        )


if __name__ == "__main__":
    main(sys.argv[1:])
