"""What is counted and noted down when predictions end; `figures` adds it to what other processes counted."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from mlserve.tally import tally
from predictions.status import Status

log = logging.getLogger(__name__)

PREDICTIONS, DURATION, QUEUED, REFUSED, LOADED = "predictions", "duration", "queue", "validation_errors", "model_load"


@dataclass(frozen=True)
class Ended:
    """One prediction that reached its end. `started_at` is None where nobody has begun it."""

    prediction_id: UUID
    request_id: str
    status: Status
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime
    error: dict[str, Any] | None = None


def count_ended(model: str, version: str, predictions: Iterable[Ended]) -> None:
    """Count each, and write a line about each that failed: what happened to it, never what it was asked with."""
    for each in predictions:
        tally.count(PREDICTIONS, model, version, label=each.status.value)
        if each.started_at is not None:
            tally.observe(DURATION, (each.finished_at - each.created_at).total_seconds(), model, version)
            tally.observe(QUEUED, (each.started_at - each.created_at).total_seconds(), model, version)
        if each.status == Status.FAILED:
            _note_failure(model, version, each)


def count_unstarted(model: str, version: str, status: Status, count: int) -> None:
    """Canceled or expired, where only their number is known."""
    if count:
        tally.count(PREDICTIONS, model, version, label=status.value, by=count)


def count_refused(model: str) -> None:
    """A request whose rows did not fit the schema."""
    tally.count(REFUSED, model)


def count_load(seconds: float, models: Sequence[str]) -> None:
    """An artifact that was loaded for (model, version)."""
    tally.observe(LOADED, seconds, *models)


def _note_failure(model: str, version: str, ended: Ended) -> None:
    kind = str((ended.error or {}).get("type", "")).rpartition("/")[2] or "given-up"
    facts = {
        "prediction_id": str(ended.prediction_id),
        "request_id": ended.request_id,
        "model": model,
        "version": version,
        "error": kind,
    }
    log.warning("A prediction of %s %s failed: %s", model, version, kind, extra={"facts": facts})
