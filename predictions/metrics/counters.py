"""What is counted, and noted in the log, when predictions end. `totals` adds them up over all processes."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from mlserve.observability.counters import counters
from predictions.status import Status

if TYPE_CHECKING:
    from registry.models import ModelVersion

log = logging.getLogger(__name__)

PREDICTIONS, DURATION, QUEUED, REFUSED, LOADED = "predictions", "duration", "queue", "validation_errors", "model_load"


@dataclass(frozen=True)
class Ended:
    """One prediction that ended. `started_at` is None if no process began it; `kind` is its error's slug, or ""."""

    prediction_id: UUID
    request_id: str
    status: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime
    kind: str = ""


def count_ended(version: "ModelVersion", predictions: Iterable[Ended]) -> None:
    """Count each, and log each that failed: what happened, but nothing of its input."""
    model, tag = version.model.name, version.tag
    for each in predictions:
        counters.count(PREDICTIONS, model, tag, label=each.status)
        if each.started_at is not None:
            counters.observe(DURATION, (each.finished_at - each.created_at).total_seconds(), model, tag)
            counters.observe(QUEUED, (each.started_at - each.created_at).total_seconds(), model, tag)
        if each.status == Status.FAILED:
            facts = {
                "prediction_id": str(each.prediction_id), "request_id": each.request_id,
                "model": model, "version": tag, "error": each.kind,
            }  # fmt: skip
            log.warning("A prediction of %s %s failed: %s", model, tag, each.kind, extra={"facts": facts})


def count_refused(version: "ModelVersion") -> None:
    """A request whose rows did not fit the schema."""
    counters.count(REFUSED, version.model.name)


def count_load(version: "ModelVersion", seconds: float) -> None:
    counters.observe(LOADED, seconds, version.model.name, version.tag)
