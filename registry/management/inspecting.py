"""What `upload_model` and `check_model` share: the files they are given, and the report as a table."""

from argparse import ArgumentParser, _ArgumentGroup
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from mlserve.errors import BadUpload, MlserveError
from mlserve.processes.stopping import exit_when_stopped
from mlserve.terminal import TerminalCommand, cell, plain_table
from registry.inspection.report import Report
from registry.inspection.version_request import VersionRequest, version_request
from registry.inspection.wording import in_shell
from registry.schema.options import any_of
from registry.schema.row_files import SUFFIXES

# How each status looks: its sign and its style on a terminal.
_LOOKS: Mapping[str, tuple[str, str]] = {
    "passed": ("✓", "green"),
    "warning": ("!", "yellow"),
    "failed": ("✗", "bold red"),
    "skipped": ("–", "dim"),
}
_FILES = ("schema", "sample", "expected", "form")


class InspectingCommand(TerminalCommand):
    """A command that takes an artifact with what describes it, and shows how its inspection went."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        if self._called_from_command_line:
            exit_when_stopped()
        return super().execute(*args, **options)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "path",
            type=Path,
            metavar="PATH",
            help="the fitted pipeline: a skops, joblib or pickle file, as model.joblib; or what it is in: an MLflow "
            "model (its folder, or a zip of it; its signature is then the schema and its input example the sample) or "
            "SageMaker's model.tar.gz",
        )
        parser.add_argument(
            "--schema",
            metavar="S",
            help="what one raw record is: a pydantic class, as validation.py:RawData, or a JSON Schema file, as "
            "schema.json (default: read from the pipeline and the sample)",
        )
        parser.add_argument(
            "--sample",
            type=Path,
            metavar="F",
            help="some raw rows as CSV or JSON, as spreadsheets, pandas and MLflow write them: the inspection predicts "
            "them, verify_models compares them later",
        )
        expected = parser.add_mutually_exclusive_group()
        expected.add_argument(
            "--expected",
            type=Path,
            metavar="E",
            help="what the pipeline answered to the sample rows where it was trained, to be compared: CSV as "
            "pd.Series(pipeline.predict(X)).to_csv(…) writes it, or a JSON list of values or of "
            '{"prediction": …, "probabilities": {…}}',
        )
        expected.add_argument(
            "--expected-column",
            metavar="C",
            help="instead of --expected: the column of the sample that holds these answers; it is then no input",
        )
        parser.add_argument(
            "--form", type=Path, metavar="F", help="how the form page looks: JSON (default: made from the schema)"
        )
        add_allowance(parser)

    def add_publishing_arguments(self, parser: "ArgumentParser | _ArgumentGroup") -> None:
        """What becomes of the model once the artifact is accepted; `check_model` takes and ignores it."""
        parser.add_argument("--title", metavar="T", help="the model's name for people (default: the form's, or NAME)")
        parser.add_argument("--promote", action="store_true", help="make the version live at once")
        access = parser.add_mutually_exclusive_group()
        access.add_argument(
            "--public",
            dest="is_public",
            action="store_true",
            default=None,
            help="anyone may use the model without signing in (default for a new one: MLSERVE_NEW_MODELS)",
        )
        access.add_argument(
            "--private", dest="is_public", action="store_false", default=None, help="only signed-in users may use it"
        )

    def _refuse(self, error: Exception) -> NoReturn:
        if isinstance(error, MlserveError):
            error.detail = in_shell(error.detail)
        super()._refuse(error)

    def show_report(self, report: Report) -> None:
        table = plain_table("Check", "Status", "Found", may_wrap=("Check", "Found"))
        for check in report.worded(in_shell).checks:
            sign, style = _LOOKS[check.status]
            table.add_row(cell(check.question), cell(f"{sign} {check.status}", style), cell(check.detail))
            if check.fix and check.status in ("warning", "failed"):
                table.add_row("", "", cell(f"Fix: {check.fix}", style))
        self.show(table)


def add_allowance(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--allow-other-versions",
        action="store_true",
        help="admit what another scikit-learn trained; its answers may differ from those at its training",
    )


def request_from(options: Mapping[str, Any]) -> VersionRequest:
    """What the arguments ask for. Raises BadUpload for the first file that cannot be used."""
    if not options["path"].is_dir():  # a folder may be a model of MLflow
        _require_file(options["path"], "artifact")
    for name, what in (("sample", "sample"), ("expected", "file of expected answers")):
        if options[name] is not None:
            _require_file(options[name], what)
            if options[name].suffix.lower() not in SUFFIXES:
                raise BadUpload(f"The {what} {options[name]} must end in {any_of(SUFFIXES)}; save it as CSV.")
    if options["form"] is not None:
        _require_file(options["form"], "form")
    return version_request(options, {name: options[name] for name in _FILES if options[name]})


def _require_file(path: Path, what: str) -> None:
    if path.is_dir():
        raise BadUpload(f"The {what} {path} is a folder; give a file.")
    if not path.is_file():
        raise BadUpload(f"The {what} {path} does not exist; check the path.")
