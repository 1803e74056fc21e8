"""The report of an inspection: named checks with what was detail and what to do. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

Status = Literal["passed", "warning", "failed", "skipped"]

# The files by which the inspection and its child process exchange request and report, in a folder that they share.
REQUEST_FILE, RESULT_FILE = "request.json", "result.jsonl"

# Every check in the order of execution, with its question. A check that was not reached is reported as skipped.
CHECKS: Mapping[str, str] = {
    "names": "It refers only to trusted classes and functions",
    "loads": "The file unpickles",
    "pipeline": "It is a fitted scikit-learn Pipeline",
    "environment": "It was trained with the versions installed here",
    "schema": "There is a schema of one raw record",
    "accepts": "The schema accepts the raw data",
    "predicts": "The pipeline predicts the raw data",
    "answers": "It answers as its trainer saw it",
    "json": "Its answers survive JSON",
    "batching": "Row by row gives the same answers as one batch",
    "nulls": "What the schema allows can be predicted",
    "form": "The form asks only for columns that exist",
}


@dataclass(frozen=True)
class Check:
    """`name` is a key of `CHECKS`; `detail` says what was detail, `fix` what to do about it."""

    name: str
    status: Status
    detail: str
    fix: str = ""

    @property
    def question(self) -> str:
        return CHECKS[self.name]


@dataclass(frozen=True)
class Report:
    checks: tuple[Check, ...]
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def is_accepted(self) -> bool:
        return not self.failed

    @property
    def failed(self) -> list[Check]:
        return [check for check in self.checks if check.status == "failed"]

    @property
    def warnings(self) -> list[Check]:
        return [check for check in self.checks if check.status == "warning"]

    @property
    def is_trained_elsewhere(self) -> bool:
        """Whether it passed although another scikit-learn trained it, because the uploader allowed that."""
        return any(check.name == "environment" for check in self.warnings)

    def summary(self) -> str:
        """One line: what failed first, or how many checks passed."""
        if self.failed:
            first = self.failed[0]
            detail = first.detail if first.detail.endswith((".", "!", "?", "…")) else f"{first.detail}."
            return f"{first.question}: no. {detail} {first.fix}".strip()
        passed = sum(check.status == "passed" for check in self.checks)
        noted = f", {len(self.warnings)} with a warning" if self.warnings else ""
        return f"{passed + len(self.warnings)} of {len(self.checks)} checks passed{noted}"

    def worded(self, render: Callable[[str], str]) -> "Report":
        """With each text rendered for where it is shown (registry/inspection/wording.py)."""
        checks = (replace(each, detail=render(each.detail), fix=render(each.fix)) for each in self.checks)
        return replace(self, checks=tuple(checks))

    def as_json(self) -> dict[str, Any]:
        checks = [{**asdict(check), "question": check.question} for check in self.checks]
        return {"accepted": self.is_accepted, "checks": checks, "facts": self.facts}


def report_from_json(stored: Mapping[str, Any]) -> Report:
    checks = tuple(
        Check(each["name"], each["status"], each["detail"], each.get("fix", "")) for each in stored.get("checks", ())
    )
    return Report(checks, dict(stored.get("facts", {})))


def with_skipped(checks: tuple[Check, ...]) -> tuple[Check, ...]:
    """`checks` in order, with a skipped entry for each one that was not reached."""
    reached = {check.name: check for check in checks}
    return tuple(reached.get(name) or Check(name, "skipped", "Not reached.") for name in CHECKS)
