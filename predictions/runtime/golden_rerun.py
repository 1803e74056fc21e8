"""Whether a version still answers as it did at its inspection: its golden rows, predicted again and compared."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.utils import timezone

from mlserve.errors import Unavailable
from predictions.batching.halving import RowFailure, call_in_batches
from predictions.model_host.errors import ModelEnded, described
from predictions.runtime import incidents, loaded_models
from registry.models import ModelVersion
from registry.models.golden_check import GoldenCheck, Verdict
from registry.pipelines.environment import installed
from registry.pipelines.golden_comparison import same_answer
from registry.schema.violations import pointer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Difference:
    """One value that changed. `output` leads to it, as `probabilities/Adelie`; for a failed row it is `error`."""

    row: int
    output: str
    stored: Any
    now: Any


@dataclass(frozen=True)
class EnvironmentChange:
    """A package (or python) whose version differs from that at the inspection; `now` is None without the package."""

    package: str
    inspected_with: str
    now: str | None


@dataclass(frozen=True)
class GoldenRerun:
    """`problem` says why the version could not be asked at all; `may_pass`: that is not the version's fault."""

    version: ModelVersion
    row_count: int
    differences: tuple[Difference, ...] = ()
    problem: str = ""
    may_pass: bool = False
    changes: tuple[EnvironmentChange, ...] = ()

    @property
    def is_same(self) -> bool:
        return not (self.differences or self.problem)

    @property
    def summary(self) -> str:
        """What was found, in a sentence."""
        if self.problem:
            return self.problem
        if self.differences:
            rows = len({difference.row for difference in self.differences})
            return f"{rows} of {self.row_count} rows get another answer."
        return f"{self.row_count} rows compared."

    def write_down(self) -> bool:
        """Store the verdict for this environment; False where there is none."""
        if self.may_pass:
            return False
        verdict = Verdict.SAME if self.is_same else Verdict.FAILED if self.problem else Verdict.DIFFERS
        detail = "" if self.is_same else self.summary
        GoldenCheck.objects.record(self.version, verdict, detail=detail, now=timezone.now())
        if self.is_same:
            log.info("%s answers as inspected, in this environment, too", self.version)
        else:
            log.error("%s %s in this environment: %s", self.version, verdict.label, detail)
        return True


def verify(version: ModelVersion) -> GoldenRerun:
    """Predict the golden rows (at most 100) in one call, as the inspection did. Loads the artifact; never raises
    for what the artifact does.
    """
    rows, stored = version.sample_rows, version.golden_outputs
    changes = tuple(_environment_changes(version.environment.get("inspected_with", {})))
    try:
        with incidents.reported(version):
            loaded_models.load(version, seconds=settings.MLSERVE_INSPECTION_SECONDS)
            budget = loaded_models.Budget(settings.MLSERVE_INSPECTION_SECONDS)
            now, failures = call_in_batches(
                lambda part: loaded_models.predict(version, part, version.outputs, budget=budget),
                rows,
                batch_rows=max(len(rows), 1),
                passing=(Unavailable,),
            )
    except Unavailable as error:
        return GoldenRerun(version, len(rows), problem=error.detail, may_pass=error.may_pass, changes=changes)
    except ModelEnded as ended:
        return GoldenRerun(version, len(rows), problem=ended.detail, changes=changes)
    differences = tuple(_differences(stored, now, failures, len(rows)))
    return GoldenRerun(version, len(rows), differences, changes=changes)


def _differences(
    stored: Mapping[str, list[Any]], now: Mapping[str, list[Any]], failures: Mapping[int, RowFailure], row_count: int
) -> Iterator[Difference]:
    for row in range(row_count):
        if row in failures:
            yield Difference(row, "error", None, ": ".join(described(failures[row].error)))
            continue
        for output, answers in stored.items():
            yield from _value_differences(row, output, answers[row], now[output][row] if output in now else None)


def _value_differences(row: int, path: str, stored: Any, now: Any) -> Iterator[Difference]:
    """The values that differ, single ones where both answers have the same shape."""
    if isinstance(stored, dict) and isinstance(now, dict) and stored.keys() == now.keys():
        for key in stored:
            yield from _value_differences(row, f"{path}{pointer(key)[1:]}", stored[key], now[key])
    elif isinstance(stored, list) and isinstance(now, list) and len(stored) == len(now):
        for index, value in enumerate(stored):
            yield from _value_differences(row, f"{path}/{index}", value, now[index])
    elif not same_answer(stored, now):
        yield Difference(row, path, stored, now)


def _environment_changes(inspected_with: Mapping[str, str]) -> Iterator[EnvironmentChange]:
    for package, then in inspected_with.items():
        now = installed(package)
        if now != then:
            yield EnvironmentChange(package, then, now)
