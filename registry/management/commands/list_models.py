"""`manage.py list_models`: every version, and which one serves."""

from argparse import ArgumentParser
from typing import Any

from mlserve.conf.command_lines import manage
from mlserve.terminal import TerminalCommand, cell, plain_table
from mlserve.units import size_text
from registry.inspection.report import Report, report_from_json
from registry.models import ModelVersion

_FIRST_UPLOAD = ("upload_model", "model.joblib", "--model", "NAME", "--tag", "1.0", "--promote")


class Command(TerminalCommand):
    help = "Lists the registered versions of all models, newest first, and which of them are live."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print a JSON list with full digests and times")

    def handle(self, *_args: Any, **options: Any) -> None:
        versions = _versions()
        if options["json"]:
            self.show_json([_as_json(version) for version in versions])
        elif versions:
            self._show_table(versions)
        else:
            self.say(f"No model is registered yet. Upload the first: {manage(*_FIRST_UPLOAD)}")

    def _show_table(self, versions: list[ModelVersion]) -> None:
        table = plain_table(
            "Model", "Tag", "Status", "Checks", "Size", "SHA-256", "Uploaded",
            may_wrap=("Model", "Tag", "Status", "Checks", "Uploaded"),
        )  # fmt: skip
        for version in versions:
            table.add_row(
                cell(version.model.name),
                cell(version.tag),
                cell(_status(version), "bold green" if version.is_live else "dim"),
                cell(_checks(report_from_json(version.report))),
                cell(size_text(version.size_bytes)),
                cell(version.sha256[:12]),
                cell(f"{version.uploaded_at:%Y-%m-%d %H:%M} UTC by {version.uploaded_by or 'nobody known'}"),
            )
        self.show(table)


def _versions() -> list[ModelVersion]:
    versions = ModelVersion.objects.select_related("model").with_open_incidents()
    versions = versions.defer("parameters", "sample_rows", "golden_outputs")
    return list(versions.order_by("model__name", "-uploaded_at", "-pk"))


def _status(version: ModelVersion) -> str:
    return f"{version.status}; {words}" if (words := version.incidents_in_words) else version.status


def _passed(report: Report) -> int:
    return sum(check.status == "passed" for check in report.checks)


def _checks(report: Report) -> str:
    warnings = len(report.warnings)
    noted = f", {warnings} {'warning' if warnings == 1 else 'warnings'}" if warnings else ""
    return f"{_passed(report)} passed{noted}"


def _as_json(version: ModelVersion) -> dict[str, Any]:
    report = report_from_json(version.report)
    return {
        "model": version.model.name,
        "tag": version.tag,
        "status": version.status,
        "is_live": version.is_live,
        "is_public": version.model.is_public,
        "checks": {"passed": _passed(report), "warnings": len(report.warnings)},
        "size_bytes": version.size_bytes,
        "sha256": version.sha256,
        "uploaded_at": version.uploaded_at.isoformat(),
        "uploaded_by": version.uploaded_by,
        "incidents": version.incidents_in_words,
    }
