"""`manage.py deploy_check`: checks for every way a deployment is known to break, with the fix."""

import os
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.management.base import CommandError
from rich.text import Text

from mlserve.terminal import TerminalCommand, cell, plain_table

if TYPE_CHECKING:
    from deployment.checking import Row

_STYLES = {"ok": "green", "failed": "bold red", "warning": "yellow", "not yet": "dim", "not known": "dim"}
_STAGES = ("web", "worker")


class Command(TerminalCommand):
    help = (
        "Checks a deployment on AWS, or what would be deployed: each known fault is a named check with what was "
        "found and how to fix it. Exit status 1 when a check failed. Changes nothing."
    )
    # Its own checks report what a system check would stop at.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "stage",
            nargs="?",
            choices=_STAGES,
            metavar="STAGE",
            help="one function only: web or worker (default: both)",
        )
        parser.add_argument(
            "--url", default="", metavar="URL", help="where clients reach the service (default: API Gateway's address)"
        )
        parser.add_argument("--json", action="store_true", help="print a JSON list, one object per check")

    def handle(self, *_args: Any, **options: Any) -> None:
        rows = self._rows([options["stage"]] if options["stage"] else _STAGES, options["url"])
        if options["json"]:
            self.show_json([row.as_json() for row in rows])
        else:
            self._show(rows)
        broken = [row.title for row in rows if row.has_failed]
        if broken:
            what = "check" if len(broken) == 1 else "checks"
            raise CommandError(f"{len(broken)} {what} failed: {', '.join(broken)}.")

    def _rows(self, stages: Sequence[str], url: str) -> list["Row"]:
        try:
            from deployment.account import Account
            from deployment.checking import run
            from deployment.checks import CHECKS
            from deployment.evidence import Evidence
        except ModuleNotFoundError as error:
            raise CommandError(f"{error}. Run it in a checkout of mlserve; the package does not contain it.") from error
        from mlserve.operations.self_report import self_report

        is_postgres = "postgresql" in settings.DATABASES["default"]["ENGINE"]
        evidence = Evidence(
            os.environ,
            root=Path(settings.BASE_DIR),
            account=Account(),
            url=url,
            here=self_report if is_postgres else None,
        )
        rows = []
        with self.counting("Checking", sum(len(set(check.stages) & set(stages)) or 1 for check in CHECKS)) as advance:
            for row in run(CHECKS, evidence, stages):
                rows.append(row)
                advance(1)
        return rows

    def _show(self, rows: Sequence["Row"]) -> None:
        table = plain_table("Check", "Status", "Found", may_wrap=("Found",))
        for row in rows:
            status = row.finding.status.value
            table.add_row(cell(row.title), cell(status, _STYLES[status]), self._found(row))
        self.show(table)
        counts = Counter(row.finding.status.value for row in rows)
        self.say(", ".join(f"{counts[status]} {status}" for status in _STYLES if counts[status]) + ".")

    def _found(self, row: "Row") -> Text:
        """What was found, and below it the fix; in a log behind it, so that each check is one line."""
        found = cell(row.finding.found)
        if row.finding.fix:
            found = Text.assemble(found, "\n" if self.is_terminal else " ", cell(f"→ {row.finding.fix}", "bold"))
        return found
