"""Figures for /metrics: what all processes counted, added up in the database, and what its tables say at this moment.

Each process adds what it counted about once a second, so that no request pays for it. One that is killed takes along
what it counted since then. Predictions are not concerned: they are in the database before anybody is answered.
"""

import json
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from itertools import islice
from multiprocessing.util import Finalize

from django.conf import settings
from django.db import Error as AnyDatabaseError
from django.db import connection, connections, transaction
from django.db.models import Count

from mlserve.observability.counters import Series, tally
from predictions.metrics.counting import Ended, count_ended, kind_of, note_batch
from predictions.metrics.figure import Figure
from predictions.models import Prediction
from predictions.models.completion import Completion
from predictions.queue import heartbeat
from predictions.status import Status
from registry.models import Incident, ModelVersion

log = logging.getLogger(__name__)

FLUSH_SECONDS = 1.0
# A process with nothing to do gives its connection back.
_IDLE_SECONDS = 30.0
# SQLite and PostgreSQL bound the parameters of a statement.
_MOST_TOGETHER = 500
# More is a registry's business than a scrape's; /api/models has them all.
_MOST_VERSIONS = 2_000


class _State:
    """Whether this process adds its counts by itself, and when it did last."""

    is_on = False
    flushed_at = 0.0


@dataclass(frozen=True)
class LiveVersion:
    model: str
    tag: str
    sha256: str
    sklearn_version: str


@dataclass(frozen=True)
class Moment:
    """What the tables say now."""

    queued: int
    oldest_queued_seconds: float
    running: int
    workers: int
    live: Sequence[LiveVersion]
    open_incidents: Sequence[tuple[str, str, int]]


def count_stored(predictions: Sequence[Prediction]) -> None:
    """Predictions of one version that ended where their callers wait."""

    def ended(each: Prediction) -> Ended:
        kind, finished_at = kind_of(json.loads(each.error)) if each.error else "", each.finished_at or each.created_at
        return Ended(each.pk, each.request_id, each.status, each.created_at, each.started_at, finished_at, kind)

    count_ended(predictions[0].version, map(ended, predictions))


def count_finished(
    batch: Sequence[Prediction], completions: Sequence[Completion], *, count: int, now: datetime
) -> None:
    """A worker's call of one version: `count` of the completions were stored at `now`."""
    if not completions:
        return
    version, asked = batch[0].version, {prediction.pk: prediction for prediction in batch}
    stored = {completion.prediction_id: completion for completion in completions}
    if count != len(stored):  # a lease ran out meanwhile
        own = Prediction.objects.filter(pk__in=stored, finished_at=now).values_list("pk", flat=True)
        stored = {pk: stored[pk] for pk in own}

    def ended(completion: Completion) -> Ended:
        each, status = asked[completion.prediction_id], Status.FAILED if completion.error else Status.SUCCEEDED
        kind = kind_of(completion.error)
        return Ended(each.pk, each.request_id, status.value, each.created_at, each.started_at, now, kind)

    count_ended(version, map(ended, stored.values()))
    rows = sum(prediction.row_count for prediction in batch)
    note_batch(
        version, count=len(batch), rows=rows, seconds=max(completion.predict_seconds for completion in completions)
    )
    flush_if_due()


def flush() -> None:
    """Add what this process counted to the table. What cannot be written now is kept for the next time."""
    numbers = tally.take()
    _State.flushed_at = time.monotonic()
    if not numbers:
        return
    try:
        _add(numbers)
    except AnyDatabaseError as error:
        tally.add_back(numbers)
        log.warning("What was counted for /metrics is kept until the database takes it: %s", error)


def flush_if_due(*, after_seconds: float = FLUSH_SECONDS) -> None:
    """After a piece of work, in a process that said `flush_by_itself` and on Lambda, unless it did so a moment ago."""
    is_on = _State.is_on or settings.ON_LAMBDA
    if is_on and not tally.is_empty() and time.monotonic() - _State.flushed_at >= after_seconds:
        flush()


def flush_by_itself() -> None:
    """From now on `flush_if_due` flushes, and so does the end of this process."""
    _State.is_on = True
    Finalize(None, flush, exitpriority=10)


def flush_in_background() -> None:
    """A thread flushes about once a second while there is something, also at the end of this process."""
    flush_by_itself()
    threading.Thread(target=_flush_for_ever, name="figures", daemon=True).start()


def totals() -> dict[Series, float]:
    """Everything that was counted until now. Raises django.db.Error."""
    rows = Figure.objects.values_list("metric", "model", "version", "label", "value")
    return {Series(*labels): value for *labels, value in rows}


def this_moment(now: datetime) -> Moment:
    """Raises django.db.Error. Each of its statements reads few rows, or an index of what waits."""
    incidents = (
        Incident.objects.filter(cleared_at=None)
        .values_list("version__model__name", "version__tag")
        .annotate(count=Count("pk"))
        .order_by("version__model__name", "version__tag")
    )
    return Moment(
        queued=Prediction.objects.queued().count(),
        oldest_queued_seconds=Prediction.objects.oldest_queued_seconds(now=now),
        running=Prediction.objects.running().count(),
        workers=heartbeat.count_seen(),
        live=list(_live_versions()),
        open_incidents=list(incidents[:_MOST_VERSIONS]),
    )


def _live_versions() -> Iterator[LiveVersion]:
    """With the scikit-learn that trained each, or else the one that inspected it."""
    live = ModelVersion.objects.live().order_by("pk").values_list("model__name", "tag", "sha256", "environment")
    for name, tag, sha256, environment in live[:_MOST_VERSIONS]:
        known = {**environment.get("inspected_with", {}), **environment.get("trained_with", {})}
        yield LiveVersion(name, tag, sha256, str(known.get("scikit-learn", "")))


def _flush_for_ever() -> None:
    idle_since = time.monotonic()
    while True:
        time.sleep(FLUSH_SECONDS)
        if not tally.is_empty():
            flush()
            idle_since = time.monotonic()
        elif time.monotonic() - idle_since > _IDLE_SECONDS:
            connections.close_all()


def _add(numbers: dict[Series, float]) -> None:
    """In the same order everywhere, so that no two processes wait for each other."""
    table = connection.ops.quote_name(Figure._meta.db_table)
    following = iter(sorted(numbers.items(), key=lambda item: astuple(item[0])))
    while part := list(islice(following, _MOST_TOGETHER)):
        entries = ", ".join(["(%s, %s, %s, %s, %s)"] * len(part))
        # Values only ever travel as parameters.
        sql = f"""
            INSERT INTO {table} (metric, model, version, label, value) VALUES {entries}
            ON CONFLICT (metric, model, version, label) DO UPDATE SET value = {table}.value + excluded.value
        """  # noqa: S608
        parameters = [each for series, value in part for each in (*astuple(series), value)]
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(sql, parameters)
