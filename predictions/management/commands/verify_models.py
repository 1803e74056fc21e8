"""`manage.py verify_models`: predict the golden rows of live versions and compare with the inspection."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from mlserve.conf.command_lines import manage
from mlserve.errors import NoLiveVersion, NotFound
from mlserve.terminal import TerminalCommand, cell, plain_table
from predictions.runtime.golden_rerun import EnvironmentChange, GoldenRerun, verify
from registry.models import Model, ModelVersion

_MOST_SHOWN_DIFFERENCES = 20
_ADVICE_FOR_OTHER_ANSWERS = (
    "Install the packages they were inspected with, roll back, or train and upload again; where the new answers are "
    "right, upload the same file under a new tag."
)
_ADVICE_ABOVE = "The message about each of them above says what to do."


class Command(TerminalCommand):
    help = (
        "Predicts the sample rows of every live version again and compares with the answers stored at its inspection: "
        "for a new machine, after an upgrade, before a deployment. The verdicts are stored for this environment, and "
        "/readyz reports them."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", nargs="?", metavar="NAME", help="only this model, as penguins (default: all)")

    def handle(self, *_args: Any, **options: Any) -> None:
        versions = _live_versions(options["name"])
        if not versions:
            self.say("No model has a live version; there is nothing to verify.")
            return
        with self.counting("Verifying", len(versions)) as advance:
            verifications = []
            for version in versions:
                verifications.append(verify(version))
                verifications[-1].write_down()
                advance(1)
        for verification in verifications:
            self._show(verification)
        changed = [str(each.version) for each in verifications if not each.is_same]
        if changed:
            advice = _ADVICE_FOR_OTHER_ANSWERS if any(each.differences for each in verifications) else _ADVICE_ABOVE
            raise CommandError(
                f"{len(changed)} of {len(versions)} live versions do not answer as inspected: {', '.join(changed)}. "
                f"{advice}"
            )

    def _show(self, verification: GoldenRerun) -> None:
        sign, status, found = _outcome(verification)
        self.say(f"{sign} {verification.version} {status}: {found}")
        if verification.changes:
            self.say(f"Inspected with other packages: {', '.join(map(_change, verification.changes))}.")
        if not verification.differences:
            return
        table = plain_table("Version", "Row", "Output", "Stored", "Now", may_wrap=("Output", "Stored", "Now"))
        for each in verification.differences[:_MOST_SHOWN_DIFFERENCES]:
            now = each.now if each.output == "error" else json.dumps(each.now, ensure_ascii=False)
            stored = "–" if each.output == "error" else json.dumps(each.stored, ensure_ascii=False)
            table.add_row(cell(str(verification.version)), str(each.row), cell(each.output), cell(stored), cell(now))
        self.show(table)
        if len(verification.differences) > _MOST_SHOWN_DIFFERENCES:
            self.say(f"… and {len(verification.differences) - _MOST_SHOWN_DIFFERENCES} more differences.")


def _live_versions(name: str | None) -> list[ModelVersion]:
    versions = ModelVersion.objects.live().select_related("model").order_by("model__name")
    if name is None:
        return list(versions)
    found = list(versions.filter(model__name=name))
    if not found and Model.objects.filter(name=name).exists():
        raise NoLiveVersion(f"The model {name!r} has no live version: {manage('promote_model', name, 'TAG')}")
    if not found:
        raise NotFound(f"There is no model {name!r}; {manage('list_models')} shows them.")
    return found


def _outcome(verification: GoldenRerun) -> tuple[str, str, str]:
    """(sign, status, what was found)."""
    if verification.problem:
        return "✗", "cannot be loaded", verification.summary
    if verification.differences:
        return "✗", "differs", verification.summary
    return "✓", "answers as inspected", verification.summary


def _change(change: EnvironmentChange) -> str:
    return f"{change.package} {change.inspected_with}, here {change.now or 'is none'}"
