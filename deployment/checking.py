"""Checks of a deployment: one way in which it breaks each, and how they are run."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from deployment.evidence import Evidence
from deployment.findings import Finding, NotKnown, NotYet, Status, failed, ok
from mlserve.errors import MlserveError


@dataclass(frozen=True)
class Check:
    """One way a deployment breaks. With `stages`, `look` takes the stage as its second argument."""

    name: str
    look: Callable[..., Finding]
    stages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    check: str
    stage: str
    finding: Finding

    @property
    def has_failed(self) -> bool:
        return self.finding.status is Status.FAILED

    @property
    def title(self) -> str:
        return f"{self.check} ({self.stage})" if self.stage else self.check

    def as_json(self) -> dict[str, Any]:
        found = {"check": self.check, "stage": self.stage or None, "status": self.finding.status.value}
        return {**found, "found": self.finding.found, "fix": self.finding.fix or None}


def judged(problems: Sequence[str], *, well: str, fix: str) -> Finding:
    """Failed with every problem, else well."""
    return failed("; ".join(problems), fix) if problems else ok(well)


def told(problems_of: Callable[[str], list[str]], name: str) -> list[str]:
    """The problems of a thing, or NotKnown when the program could not look at it."""
    try:
        return problems_of(name)
    except MlserveError as error:
        raise NotKnown(error.detail) from error


def run(checks: Sequence[Check], evidence: Evidence, stages: Sequence[str]) -> Iterator[Row]:
    """One row per check, and per stage where a check looks at each. Never raises."""
    for check in checks:
        if not check.stages:
            yield Row(check.name, "", _looked(check, evidence))
        for stage in check.stages:
            if stage in stages:
                yield Row(check.name, stage, _looked(check, evidence, stage))


def _looked(check: Check, *arguments: Any) -> Finding:
    try:
        return check.look(*arguments)
    except NotYet as error:
        return Finding(Status.NOT_YET, str(error), "make deploy")
    except NotKnown as error:
        return Finding(Status.NOT_KNOWN, str(error))
    except Exception as error:  # noqa: BLE001 - a check that breaks must not hide the others
        return Finding(Status.NOT_KNOWN, f"the check itself broke: {type(error).__name__}: {error}")
