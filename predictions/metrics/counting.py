"""What is counted and noted down when predictions end; `figures` adds it to what other processes counted."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings

from mlserve.observability import logs
from mlserve.observability.counters import tally
from mlserve.observability.tracing import batch_span
from predictions.status import Status

if TYPE_CHECKING:
    from predictions.models import Prediction
    from registry.models import ModelVersion

log = logging.getLogger(__name__)

PREDICTIONS, DURATION, QUEUED, REFUSED, LOADED = "predictions", "duration", "queue", "validation_errors", "model_load"


@dataclass(frozen=True)
class Ended:
    """One prediction that reached its end. `started_at` is None where nobody has begun it; `kind` is its error's."""

    prediction_id: UUID
    request_id: str
    status: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime
    kind: str = ""


def count_ended(version: "ModelVersion", predictions: Iterable[Ended]) -> None:
    """Count each, and write a line about each that failed: what happened to it, never what it was asked with."""
    model, tag = version.model.name, version.tag
    for each in predictions:
        tally.count(PREDICTIONS, model, tag, label=each.status)
        if each.started_at is not None:
            tally.observe(DURATION, (each.finished_at - each.created_at).total_seconds(), model, tag)
            tally.observe(QUEUED, (each.started_at - each.created_at).total_seconds(), model, tag)
        if each.status == Status.FAILED:
            _note_failure(model, tag, each)


def count_refused(version: "ModelVersion") -> None:
    """A request whose rows did not fit the schema."""
    tally.count(REFUSED, version.model.name)


def count_load(version: "ModelVersion", seconds: float) -> None:
    tally.observe(LOADED, seconds, version.model.name, version.tag)


@contextmanager
def about_batch(batch: Sequence["Prediction"], *, begun_at: datetime) -> Iterator[None]:
    """Lines and spans bear the version that is called; and the request, where the batch has a single one."""
    version = batch[0].version
    facts = {"model": version.model.name, "version": version.tag}
    if len(batch) == 1:
        facts |= {"request_id": batch[0].request_id, "prediction_id": str(batch[0].pk)}
    waits = ((each.request_id, str(each.pk), each.created_at, begun_at) for each in batch)
    with logs.about(**facts), batch_span(waits, **facts, count=len(batch)):
        yield


def note_batch(version: "ModelVersion", *, count: int, rows: int, seconds: float) -> None:
    """The line of a worker's call; one line for each prediction of it would be too many."""
    if settings.MLSERVE_ACCESS_LOG:
        facts = {
            "model": version.model.name, "version": version.tag,
            "count": count, "rows": rows, "ms": round(seconds * 1e3, 1),
        }  # fmt: skip
        log.info("A batch of %d predictions, %d rows of %s", count, rows, version, extra={"facts": facts})


def kind_of(error: Mapping[str, Any] | None) -> str:
    """The name of a problem object in the table of errors."""
    return str((error or {}).get("type", "")).rpartition("/")[2]


def _note_failure(model: str, tag: str, ended: Ended) -> None:
    facts = {
        "prediction_id": str(ended.prediction_id),
        "request_id": ended.request_id,
        "model": model,
        "version": tag,
        "error": ended.kind,
    }
    log.warning("A prediction of %s %s failed: %s", model, tag, ended.kind, extra={"facts": facts})
