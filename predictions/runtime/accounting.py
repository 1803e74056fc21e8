"""What is counted, logged and traced around one call of a version: for the web process and for workers."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.conf import settings

from mlserve.observability import logs
from mlserve.observability.tracing import batch_span
from predictions.metrics.counters import Ended, count_ended
from predictions.metrics.totals import flush_if_due
from predictions.models import Prediction
from predictions.models.completion import Completion
from predictions.status import Status

log = logging.getLogger(__name__)


@contextmanager
def about_batch(batch: Sequence[Prediction], *, begun_at: datetime) -> Iterator[None]:
    """Log lines and spans carry the version that is called, and the request if the batch has a single one."""
    version = batch[0].version
    facts = {"model": version.model.name, "version": version.tag}
    if len(batch) == 1:
        facts |= {"request_id": batch[0].request_id, "prediction_id": str(batch[0].pk)}
    waits = ((each.request_id, str(each.pk), each.created_at, begun_at) for each in batch)
    with logs.about(**facts), batch_span(waits, **facts, count=len(batch)):
        yield


def count_stored(predictions: Sequence[Prediction]) -> None:
    """Count predictions of one version that ended in the web process, while their callers waited."""
    count_ended(
        predictions[0].version,
        (
            _ended(each, each.status, each.finished_at or each.created_at, json.loads(each.error or "{}"))
            for each in predictions
        ),
    )


def count_finished(
    batch: Sequence[Prediction], completions: Sequence[Completion], *, count: int, now: datetime
) -> None:
    """Count a worker's call of one version: `count` of the completions were stored at `now`."""
    if not completions:
        return
    asked = {prediction.pk: prediction for prediction in batch}
    stored = {completion.prediction_id: completion for completion in completions}
    if count != len(stored):  # the lease of some of them ended meanwhile
        own = Prediction.objects.filter(pk__in=stored, finished_at=now).values_list("pk", flat=True)
        stored = {pk: stored[pk] for pk in own}
    count_ended(
        batch[0].version,
        (
            _ended(asked[pk], Status.FAILED if each.error else Status.SUCCEEDED, now, each.error or {})
            for pk, each in stored.items()
        ),
    )
    _log_batch(batch, seconds=max(completion.predict_seconds for completion in completions))
    flush_if_due()


def _ended(each: Prediction, status: str, finished_at: datetime, error: Mapping[str, Any]) -> Ended:
    """`error` is a problem object, or empty."""
    kind = str(error.get("type", "")).rpartition("/")[2]
    return Ended(each.pk, each.request_id, str(status), each.created_at, each.started_at, finished_at, kind)


def _log_batch(batch: Sequence[Prediction], *, seconds: float) -> None:
    """One line for a worker's call; a line for each of its predictions would be too many."""
    if not settings.MLSERVE_ACCESS_LOG:
        return
    version, rows = batch[0].version, sum(prediction.row_count for prediction in batch)
    facts = {
        "model": version.model.name, "version": version.tag,
        "count": len(batch), "rows": rows, "ms": round(seconds * 1e3, 1),
    }  # fmt: skip
    log.info("A batch of %d predictions, %d rows of %s", len(batch), rows, version, extra={"facts": facts})
