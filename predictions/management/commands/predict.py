"""`manage.py predict`: the rows of a file through a version, without HTTP and without the queue."""

import json
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlserve.conf.command_lines import manage
from mlserve.errors import BadUpload, FieldError, InvalidRows, NoLiveVersion, NotFound, PredictionFailed
from mlserve.terminal import TerminalCommand, printable
from predictions.batching.halving import Answers, RowFailure
from predictions.management.row_errors import by_column
from predictions.management.row_files import only_columns, read, require_writable, write_whole
from predictions.model_host.errors import ModelEnded, described
from predictions.runtime import loaded_models
from predictions.runtime.execution import predict_rows
from predictions.serving.submission import parse_outputs, require_outputs
from predictions.store.csv_answers import with_answers
from registry.models import Model, ModelVersion
from registry.schema.record import RecordSchema, Row, RowWarning, row_pointer
from registry.tables.columns import listed


class Command(TerminalCommand):
    help = (
        "Predicts the rows of a CSV or JSON file with a registered model. Every row is validated first; columns that "
        "the model does not have are not used; "
        "the answers are written whole or not at all."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME", help="the model, as penguins")
        parser.add_argument(
            "file",
            metavar="FILE",
            help="the rows: CSV with a header line or JSON, as spreadsheets, pandas and MLflow write them; - for stdin",
        )
        parser.add_argument("--tag", metavar="T", help="the version, as 1.1 (default: the live one)")
        parser.add_argument(
            "--out",
            type=Path,
            metavar="F",
            help="answers.json, or answers.csv for the input's columns with the answers beside them "
            "(default: JSON on stdout); text that begins like a formula gets an apostrophe",
        )
        parser.add_argument(
            "--outputs",
            metavar="LIST",
            help="what to ask for, separated by commas, as predict,predict_proba,decision_function (default: predict)",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """1. resolve    2. read    3. validate    4. predict    5. write"""
        out: Path | None = options["out"]
        if out is not None:
            require_writable(out)
        version = _version(options["name"], options["tag"])
        outputs = parse_outputs(options["outputs"])
        require_outputs(version, outputs)
        with self.working(f"Reading {options['file']}"):
            file = read(options["file"], version.record_schema)
            rows, others = only_columns(file.rows, version.record_schema, model=str(version))
        self._say_how_it_was_read(options["file"], version, file.layout, others)
        with self.working(f"Validating {len(rows)} rows"):
            self._require_valid(rows, version.record_schema)
        answers = self._predict(version, rows, outputs)
        warnings = version.record_schema.training_warnings(rows)
        result = _result(version, answers, warnings)
        if out is None:
            self.show_json(result, indent=2 if self.is_terminal else None)
            return
        is_csv = out.suffix.lower() == ".csv"
        write_whole(out, with_answers(file.originals, answers) if is_csv else json.dumps(result, ensure_ascii=False))
        what = "row" if len(rows) == 1 else "rows"
        self.say(f"{version} predicted {len(rows)} {what} into {out}{_noted(warnings)}.")

    def _require_valid(self, rows: list[Row], schema: RecordSchema) -> None:
        """Raise BadUpload for rows that do not fit, after a line for each kind of mistake."""
        try:
            schema.validated(rows)
        except InvalidRows as error:
            if not rows:
                raise
            for line in by_column(rows, schema):
                self.stderr.write(printable(line))
            what = "1 error" if error.total == 1 else f"{error.total} errors"
            raise BadUpload(f"{what} in the rows, which count from 0. Nothing was predicted: mend the file.") from error

    def _say_how_it_was_read(self, file: str, version: ModelVersion, layout: str, others: Sequence[str]) -> None:
        """On stderr, since the answers may go to stdout."""
        if layout:
            self.stderr.write(printable(f"{file}: {layout}"))
        if others:
            self.stderr.write(printable(f"warning: not columns of {version} and not used: {listed(others)}."))

    def _predict(self, version: ModelVersion, rows: Sequence[Row], outputs: Sequence[str]) -> Answers:
        try:
            with self.working(f"Loading {version}"):
                loaded_models.load(version)
            with self.counting(f"Predicting with {version}", len(rows)) as advance:
                answers, failures = predict_rows(version, rows, outputs, when_called=advance)
        except ModelEnded as ended:
            raise PredictionFailed(f"The process of the model did not survive it. {ended.detail}") from ended
        if failures:
            raise _failed(failures, len(rows))
        return answers


def _version(name: str, tag: str | None) -> ModelVersion:
    versions = ModelVersion.objects.without_bulk().select_related("model").filter(model__name=name)
    version = (versions.live() if tag is None else versions.filter(tag=tag)).first()
    if version is not None:
        return version
    if not Model.objects.filter(name=name).exists():
        raise NotFound(f"There is no model {name!r}; {manage('list_models')} shows them.")
    if tag is not None:
        raise NotFound(f"The model {name!r} has no version {tag!r}; {manage('list_models')} shows them.")
    raise NoLiveVersion(
        f"The model {name!r} has no live version. Give --tag, or promote one: {manage('promote_model', name, 'TAG')}"
    )


def _result(version: ModelVersion, answers: Answers, warnings: Sequence[RowWarning]) -> dict[str, Any]:
    """The members of a prediction's JSON object that do not depend on the queue."""
    return {
        "model": version.model.name,
        "version": version.tag,
        "rows": len(answers["predictions"]),
        "result": {"predictions": answers["predictions"], "probabilities": None, **answers},
        "warnings": [warning.as_json() for warning in warnings],
    }


def _failed(failures: Mapping[int, RowFailure], row_count: int) -> PredictionFailed:
    named = [FieldError(row_pointer(row), ": ".join(described(failures[row].error))) for row in sorted(failures)]
    return PredictionFailed(
        f"The model could not predict {len(failures)} of {row_count} rows; nothing was written. "
        "Correct these rows or leave them out.",
        named,
    )


def _noted(warnings: Sequence[RowWarning]) -> str:
    if not warnings:
        return ""
    first = warnings[0]
    count = f"{len(warnings)} warnings, the first" if len(warnings) > 1 else "1 warning"
    return f"; {count}: row {first.row}, {first.column}: {first.detail}"
