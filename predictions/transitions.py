"""The arrows between the states of predictions, and the words of their queries.

Every arrow is one compare-and-set: it filters on the state it expects, updates, and looks at the count.
"""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Q, QuerySet

from mlserve.errors import GivenUp, Unavailable
from mlserve.problems import stored_problem
from mlserve.renderers import dump_json
from predictions.counting import Ended, count_ended
from predictions.payloads import REFERENCE, delete, discard, keep_anyhow
from predictions.redaction import Kept, end_raw, in_place_of, mend
from predictions.status import Status
from registry.lookup import version_by_id

if TYPE_CHECKING:
    from predictions.models import Prediction

log = logging.getLogger(__name__)

# A lease that ends so much later than any that begins now was given by a clock that was ahead.
_NO_CLOCKS_DIFFER_SO_MUCH = timedelta(hours=1)
# A sweep makes room for predictions again after so long; what is left is the next one's, a minute later.
_SWEEP_SECONDS = 5.0


@dataclass(frozen=True)
class Outcome:
    """How one prediction ended: a result, or an error (a problem object). Times are the batch's.

    `inputs` is the JSON that is kept of its rows, where that is not everything. `kept_result` is what the row will hold
    of the result, once that is known.
    """

    prediction_id: UUID
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    warnings: tuple[dict[str, Any], ...] = ()
    predict_seconds: float = 0.0
    inputs: bytes | None = None
    kept_result: str | None = None

    def with_kept_result(self) -> "Outcome":
        """A large one lies in the storage then, so that whoever has to try `finish` again does not store it again."""
        return self if self.error is not None else replace(self, kept_result=self.what_is_kept())

    def what_is_kept(self) -> str:
        return self.kept_result or keep_anyhow(dump_json(self.result), self.prediction_id, "result")


class PredictionQuerySet(QuerySet["Prediction"]):
    def queued(self) -> "PredictionQuerySet":
        return self.filter(status=Status.QUEUED)

    def oldest_queued_seconds(self, *, now: datetime) -> float:
        """How long the one that waited longest has waited; 0.0 when none waits. Ids are in the order of time."""
        oldest = self.queued().order_by("pk").values_list("created_at", flat=True).first()
        return (now - oldest).total_seconds() if oldest else 0.0

    def of_version(self, version_id: int) -> "PredictionQuerySet":
        """In the order of ids. A second version that is nobody's lets PostgreSQL walk the index that orders so."""
        return self.filter(version__in=[version_id, -1]).order_by("-version_id", "pk")

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
        kept = self._kept_inputs(outcomes)
        parameters: list[Any] = [connection.ops.adapt_datetimefield_value(now)]
        results: list[Any] = []
        for outcome in outcomes:
            row = _finished_row(outcome)
            results.append(row[2])
            parameters += row
            if kept:
                parameters += kept.get(outcome.prediction_id, (None, None))
        with connection.cursor() as cursor:
            cursor.execute(_finish_sql(len(outcomes), replaces_inputs=bool(kept)), [*parameters, holder])
            count = int(cursor.rowcount)
        if count < len(outcomes):
            self._discard_unused(dict(zip((each.prediction_id for each in outcomes), results, strict=True)))
        self._tidy(pk for pk, (_, is_raw) in kept.items() if is_raw)
        return count

    def _discard_unused(self, results: dict[UUID, str | None]) -> None:
        """Of those whose lease was lost meanwhile; nothing refers to theirs."""
        large = {pk: text for pk, text in results.items() if text and text.startswith(REFERENCE)}
        used = set(self.filter(pk__in=large).values_list("result", flat=True)) if large else set()
        discard(text for text in large.values() if text not in used)

    def _kept_inputs(self, outcomes: Sequence[Outcome]) -> dict[UUID, Kept]:
        """What takes the place of inputs that must not be kept as they are."""
        texts = {outcome.prediction_id: outcome.inputs for outcome in outcomes if outcome.inputs is not None}
        if not texts:
            return {}
        large = dict(self.filter(pk__in=texts, inputs__startswith=REFERENCE).values_list("pk", "inputs"))
        return {pk: in_place_of(large.get(pk, ""), text, pk) for pk, text in texts.items()}

    def _tidy(self, ids: Iterable[UUID]) -> None:
        """Delete the objects that were replaced, once that is committed; the sweep does what fails here."""
        if own := list(ids):
            transaction.on_commit(lambda: self.mend(own))

    def mend(self, ids: Sequence[UUID] | None = None, *, seconds: float = _SWEEP_SECONDS) -> int:
        """Leave no ended prediction (of these) with an input that must not be kept; how many were mended."""
        return mend(self.all() if ids is None else self.filter(pk__in=ids), seconds=seconds)

    def release_expired(self, *, now: datetime) -> int:
        """running → queued for what no living worker holds; → failed after MLSERVE_MAX_ATTEMPTS."""
        latest = now + lease_duration() + _NO_CLOCKS_DIFFER_SO_MUCH
        return self._release(Q(lease_expires_at__lt=now) | Q(lease_expires_at__gt=latest), now)

    def release_held_by(self, holders: Sequence[str], *, now: datetime) -> int:
        """The same for workers that are known to be gone."""
        return self._release(Q(lease_holder__in=holders), now) if holders else 0

    def _release(self, which: Q, now: datetime) -> int:
        held = self.running().filter(which)
        given_up = held.filter(attempts__gte=settings.MLSERVE_MAX_ATTEMPTS)._end(
            status=Status.FAILED,
            error=given_up_error(),
            finished_at=now,
            lease_holder="",
            lease_expires_at=None,
        )
        back = held.update(status=Status.QUEUED, started_at=None, lease_holder="", lease_expires_at=None)
        return given_up + back

    def give_back(self, *, holder: str, ids: Sequence[UUID] | None = None) -> int:
        """running → queued for what `holder` has claimed (of `ids`), as if it had not been tried: what kept it from
        being predicted was no fault of its own.
        """
        held = self.running().filter(lease_holder=holder)
        mine = held if ids is None else held.filter(pk__in=ids)
        return mine.update(
            status=Status.QUEUED, started_at=None, attempts=F("attempts") - 1, lease_holder="", lease_expires_at=None
        )

    def expire(self, *, now: datetime, batch: int = 1000, seconds: float = _SWEEP_SECONDS) -> int:
        """queued → expired for what waited longer than MLSERVE_QUEUE_SECONDS.

        In small transactions from the oldest on, for about `seconds` at most: the next sweep goes on.
        """
        limit = now - timedelta(seconds=settings.MLSERVE_QUEUE_SECONDS)
        expired = 0
        for waiting in self.queued()._oldest_first("pk", "created_at", batch=batch, seconds=seconds):
            overdue = [pk for pk, created_at in waiting if created_at < limit]
            expired += self.filter(pk__in=overdue).queued()._end(status=Status.EXPIRED, finished_at=now)
            if len(overdue) < len(waiting):
                break
        return expired

    def cancel(self, prediction_id: UUID, *, now: datetime) -> bool:
        """queued → canceled; False when it is no longer queued. Raises Unavailable."""
        queued = self.queued().filter(pk=prediction_id)
        return bool(queued._end(skips_unavailable=False, status=Status.CANCELED, finished_at=now))

    def _end(self, *, skips_unavailable: bool = True, **changes: Any) -> int:
        """An arrow to an end, which replaces raw inputs. A row whose input cannot be had now is left for later."""
        before = {row[0]: row for row in self.values_list("pk", "version_id", "request_id", "created_at", "started_at")}
        ended, replaced = self.filter(is_raw=False).update(**changes), end_raw(self, skips_unavailable, **changes)
        self.model._default_manager.all()._tidy(replaced)
        count = ended + len(replaced)
        if count != len(before):  # somebody else was faster with some of them
            own = {name: changes[name] for name in ("status", "finished_at")}
            here = self.model._default_manager.filter(pk__in=before, **own)
            before = {pk: before[pk] for pk in here.values_list("pk", flat=True)}
        _count_unanswered(before.values(), changes)
        return count

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
                deleted += self.order_by().filter(pk__in=old)._delete_with_objects()
            if oldest[-1][1] >= limit:
                break
        return deleted

    def _delete_with_objects(self) -> int:
        """Rows whose objects the storage does not delete now stay: nobody would find those again without them."""
        elsewhere = Q(inputs__startswith=REFERENCE) | Q(result__startswith=REFERENCE)
        kept = list(self.filter(elsewhere).values_list("pk", "inputs", "result"))
        emptied = 0
        try:
            for _, *texts in kept:
                delete(*texts)
                emptied += 1
        except Unavailable as error:
            log.warning("%d predictions stay until their objects can be deleted: %s", len(kept) - emptied, error.detail)
        return self.exclude(pk__in=[pk for pk, *_ in kept[emptied:]]).delete_rows()

    def delete_rows(self) -> int:
        """Nothing refers to them, so nobody has to look for what does."""
        return int(self._raw_delete(self.db) or 0)

    def _oldest_first(self, *fields: str, batch: int, seconds: float) -> Iterator[list[Any]]:
        """The rows in the order of their ids, `batch` by `batch`, until the time is up; the first field is `pk`."""
        deadline = time.monotonic() + seconds
        rows = (self if self.query.order_by else self.order_by("pk")).values_list(*fields)
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
    if outcome.inputs is not None:
        prediction.inputs, prediction.is_raw = in_place_of(prediction.inputs, outcome.inputs, prediction.pk)


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


def _count_unanswered(rows: Iterable[tuple[Any, ...]], changes: Mapping[str, Any]) -> None:
    kind = GivenUp.slug if changes["status"] == Status.FAILED else ""
    for pk, version_id, request_id, created_at, started_at in rows:
        ended = Ended(pk, request_id, changes["status"], created_at, started_at, changes["finished_at"], kind)
        count_ended(version_by_id(version_id), [ended])


@lru_cache(maxsize=64)
def _finish_sql(rows: int, *, replaces_inputs: bool) -> str:
    """Values only ever travel as parameters. Both databases call the columns of VALUES column1, column2, …"""
    # PostgreSQL takes parameters for text unless it is told otherwise.
    casts = ["::uuid", "", "", "", "", "::double precision", *(["::text", "::boolean"] if replaces_inputs else [])]
    entry = ", ".join(f"%s{cast if connection.vendor == 'postgresql' else ''}" for cast in casts)
    replacing = (
        """, inputs = coalesce(ended.column7, prediction.inputs),
            is_raw = coalesce(ended.column8, prediction.is_raw)"""
        if replaces_inputs
        else ""
    )
    table = connection.ops.quote_name("predictions_prediction")
    return f"""
        UPDATE {table} AS prediction
        SET status = ended.column2, result = ended.column3, error = ended.column4, warnings = ended.column5,
            predict_seconds = ended.column6, finished_at = %s, lease_holder = '', lease_expires_at = NULL{replacing}
        FROM (VALUES {", ".join([f"({entry})"] * rows)}) AS ended
        WHERE prediction.id = ended.column1 AND prediction.status = 'running' AND prediction.lease_holder = %s
    """  # noqa: S608


def _finished_row(outcome: Outcome) -> list[Any]:
    """The parameters of one entry of `finish`'s VALUES."""
    succeeded = outcome.error is None
    return [
        outcome.prediction_id if connection.vendor == "postgresql" else outcome.prediction_id.hex,
        Status.SUCCEEDED.value if succeeded else Status.FAILED.value,
        outcome.what_is_kept() if succeeded else None,
        None if succeeded else dump_json(outcome.error).decode(),
        dump_json(outcome.warnings).decode(),
        outcome.predict_seconds,
    ]
