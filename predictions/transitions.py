"""The arrows between the states of predictions, and the words of their queries.

Every arrow is one compare-and-set: it filters on the state it expects, updates, and looks at the count.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models import Q, QuerySet

from mlserve.errors import GivenUp
from mlserve.problems import stored_problem
from mlserve.renderers import dump_json
from predictions.payloads import REFERENCE, discard, keep
from predictions.status import Status

if TYPE_CHECKING:
    from predictions.models import Prediction

# A sweep makes room for predictions again after so long; what is left is the next one's, a minute later.
_SWEEP_SECONDS = 5.0


@dataclass(frozen=True)
class Outcome:
    """How one prediction ended: a result, or an error (a problem object). Times are the batch's."""

    prediction_id: UUID
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    warnings: tuple[dict[str, Any], ...] = ()
    predict_seconds: float = 0.0


class PredictionQuerySet(QuerySet["Prediction"]):
    def queued(self) -> "PredictionQuerySet":
        return self.filter(status=Status.QUEUED)

    def oldest_queued_seconds(self, *, now: datetime) -> float:
        """How long the one that waited longest has waited; 0.0 when none waits. Ids are in the order of time."""
        oldest = self.queued().order_by("pk").values_list("created_at", flat=True).first()
        return (now - oldest).total_seconds() if oldest else 0.0

    def running(self) -> "PredictionQuerySet":
        return self.filter(status=Status.RUNNING)

    def unanswered(self) -> "PredictionQuerySet":
        """Failed, canceled and expired, in the words of the partial indexes that hold these few."""
        return self.filter(result=None, finished_at__isnull=False)

    def finish(self, outcomes: Sequence[Outcome], *, holder: str, now: datetime) -> int:
        """running → succeeded | failed for a whole batch in one statement; the number of rows it changed.

        A row whose lease `holder` no longer has is left alone: somebody else tries it, or it has ended.
        """
        if not outcomes:
            return 0
        row_sql = "(%s, %s, %s, %s, %s, %s)"
        if connection.vendor == "postgresql":
            row_sql = "(%s::uuid, %s, %s, %s, %s, %s::double precision)"
        table = connection.ops.quote_name(self.model._meta.db_table)
        # Values only ever travel as parameters; what is joined into the text are constants. Both databases call
        # the columns of VALUES column1, column2, …
        sql = f"""
            UPDATE {table} AS prediction
            SET status = ended.column2, result = ended.column3, error = ended.column4, warnings = ended.column5,
                predict_seconds = ended.column6, finished_at = %s, lease_holder = '', lease_expires_at = NULL
            FROM (VALUES {", ".join([row_sql] * len(outcomes))}) AS ended
            WHERE prediction.id = ended.column1 AND prediction.status = 'running' AND prediction.lease_holder = %s
        """  # noqa: S608
        parameters: list[Any] = [connection.ops.adapt_datetimefield_value(now)]
        for outcome in outcomes:
            parameters += _finished_row(outcome)
        with connection.cursor() as cursor:
            cursor.execute(sql, [*parameters, holder])
            return int(cursor.rowcount)

    def release_expired(self, *, now: datetime) -> int:
        """running → queued for what no living worker holds; → failed after MLSERVE_MAX_ATTEMPTS."""
        return self._release(Q(lease_expires_at__lt=now), now)

    def release_held_by(self, holders: Sequence[str], *, now: datetime) -> int:
        """The same for workers that are known to be gone."""
        return self._release(Q(lease_holder__in=holders), now) if holders else 0

    def _release(self, which: Q, now: datetime) -> int:
        held = self.running().filter(which)
        given_up = held.filter(attempts__gte=settings.MLSERVE_MAX_ATTEMPTS).update(
            status=Status.FAILED,
            error=given_up_error(),
            finished_at=now,
            lease_holder="",
            lease_expires_at=None,
        )
        back = held.update(status=Status.QUEUED, started_at=None, lease_holder="", lease_expires_at=None)
        return given_up + back

    def expire(self, *, now: datetime, batch: int = 1000, seconds: float = _SWEEP_SECONDS) -> int:
        """queued → expired for what waited longer than MLSERVE_QUEUE_SECONDS.

        In small transactions from the oldest on, for about `seconds` at most: the next sweep goes on.
        """
        limit = now - timedelta(seconds=settings.MLSERVE_QUEUE_SECONDS)
        expired = 0
        for waiting in self.queued()._oldest_first("pk", "created_at", batch=batch, seconds=seconds):
            overdue = [pk for pk, created_at in waiting if created_at < limit]
            expired += self.filter(pk__in=overdue).queued().update(status=Status.EXPIRED, finished_at=now)
            if len(overdue) < len(waiting):
                break
        return expired

    def cancel(self, prediction_id: UUID, *, now: datetime) -> bool:
        """queued → canceled; False when it is no longer queued."""
        queued = self.queued().filter(pk=prediction_id)
        return bool(queued.update(status=Status.CANCELED, finished_at=now))

    def delete_ended_before(self, limit: datetime, *, batch: int = 500, seconds: float = _SWEEP_SECONDS) -> int:
        """Retention: delete what ended before `limit`, oldest first.

        In small transactions, so that nothing waits for it, and for about `seconds` at most: the next sweep goes on.
        Ids are in the order of arrival and nothing ends before it arrived, so the walk ends at what arrived later
        than `limit`, and no index on the time of the end is needed.
        """
        deleted = 0
        for oldest in self._oldest_first("pk", "created_at", "finished_at", batch=batch, seconds=seconds):
            old = [pk for pk, _, finished_at in oldest if finished_at is not None and finished_at < limit]
            if old:
                elsewhere = Q(inputs__startswith=REFERENCE) | Q(result__startswith=REFERENCE)
                kept = list(self.filter(elsewhere, pk__in=old).values_list("inputs", "result"))
                deleted += self.filter(pk__in=old)._raw_delete(self.db)
                discard(text for texts in kept for text in texts)
            if oldest[-1][1] >= limit:
                break
        return deleted

    def _oldest_first(self, *fields: str, batch: int, seconds: float) -> Iterator[list[Any]]:
        """The rows in the order of their ids, `batch` by `batch`, until the time is up; the first field is `pk`."""
        deadline = time.monotonic() + seconds
        rows = self.order_by("pk").values_list(*fields)
        found = list(rows[:batch])
        while found:
            yield found
            if len(found) < batch or time.monotonic() > deadline:
                return
            found = list(rows.filter(pk__gt=found[-1][0])[:batch])


def end_at_once(prediction: "Prediction", outcome: Outcome, *, started_at: datetime, now: datetime) -> None:
    """queued → running → ended for a prediction that is not stored yet."""
    _, prediction.status, prediction.result, prediction.error, prediction.warnings, seconds = _finished_row(outcome)
    prediction.predict_seconds = seconds
    prediction.started_at, prediction.finished_at, prediction.attempts = started_at, now, 1


def lease_duration() -> timedelta:
    """How long a claim holds without being renewed: the longest batch, and room to write its results."""
    return timedelta(seconds=settings.MLSERVE_BATCH_SECONDS + 15)


def given_up_error() -> str:
    """The stored error of a prediction that outlived all its attempts."""
    error = GivenUp(
        f"The worker died or ran out of time {settings.MLSERVE_MAX_ATTEMPTS} times on this prediction. "
        "Try fewer rows, and tell whoever owns the model."
    )
    return dump_json(stored_problem(error)).decode()


def _finished_row(outcome: Outcome) -> list[Any]:
    """The parameters of one entry of `finish`'s VALUES."""
    succeeded = outcome.error is None
    return [
        outcome.prediction_id if connection.vendor == "postgresql" else outcome.prediction_id.hex,
        Status.SUCCEEDED.value if succeeded else Status.FAILED.value,
        keep(dump_json(outcome.result), outcome.prediction_id, "result") if succeeded else None,
        None if succeeded else dump_json(outcome.error).decode(),
        dump_json(outcome.warnings).decode(),
        outcome.predict_seconds,
    ]
