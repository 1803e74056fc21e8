"""The table of predictions.

Every arrow between the states of a prediction is one compare-and-set: it filters on the state it expects, updates, and
looks at the count.
"""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from django.conf import settings
from django.db import connection, models, transaction
from django.db.models import F, Q, QuerySet
from uuid_utils.compat import uuid7

from mlserve.errors import GivenUp, Unavailable
from predictions.metrics.counters import Ended, count_ended
from predictions.models import payloads
from predictions.models.completion import Completion, finish_sql, finished_row, given_up_error, lease_duration
from predictions.models.payloads import REFERENCE, delete, discard
from predictions.models.redaction import Kept, end_raw, in_place_of, redact_ended
from predictions.status import ENDED, Status
from registry.models import ModelVersion
from registry.publishing.lookup import version_by_id

log = logging.getLogger(__name__)

# A lease that ends later, by more than this, than one that begins now was given by a host whose clock is wrong.
_LARGEST_CLOCK_DIFFERENCE = timedelta(hours=1)
# The longest that one step of a sweep keeps a worker from predictions. The next sweep, a minute later, continues.
_SWEEP_SECONDS = 5.0


class PredictionQuerySet(QuerySet["Prediction"]):
    def queued(self) -> "PredictionQuerySet":
        return self.filter(status=Status.QUEUED)

    def oldest_queued_seconds(self, *, now: datetime) -> float:
        """How long the oldest queued prediction has waited; 0.0 when none waits. Ids are in the order of time."""
        oldest = self.queued().order_by("pk").values_list("created_at", flat=True).first()
        return (now - oldest).total_seconds() if oldest else 0.0

    def of_version(self, version_id: int) -> "PredictionQuerySet":
        """In the order of ids. A second version, which no row has, lets PostgreSQL walk the index in that order."""
        return self.filter(version__in=[version_id, -1]).order_by("-version_id", "pk")

    def running(self) -> "PredictionQuerySet":
        return self.filter(status=Status.RUNNING)

    def leased(self, *, now: datetime) -> "PredictionQuerySet":
        """Running, with a lease that has not expired: a worker may still be predicting it."""
        return self.running().filter(lease_expires_at__gt=now)

    def unanswered(self) -> "PredictionQuerySet":
        """Failed, canceled and expired, by the condition of the partial indexes of these few rows."""
        return self.filter(result=None, finished_at__isnull=False)

    def finish(self, completions: Sequence[Completion], *, holder: str, now: datetime) -> int:
        """running → succeeded | failed for a whole batch in one statement; the number of rows it changed.

        A row whose lease `holder` no longer has is not changed: another worker predicts it, or it has ended.
        """
        if not completions:
            return 0
        kept = self._kept_inputs(completions)
        parameters: list[Any] = [connection.ops.adapt_datetimefield_value(now)]
        results: list[Any] = []
        for completion in completions:
            row = finished_row(completion)
            results.append(row[2])
            parameters += row
            if kept:
                parameters += kept.get(completion.prediction_id, (None, None))
        with connection.cursor() as cursor:
            cursor.execute(finish_sql(len(completions), replaces_inputs=bool(kept)), [*parameters, holder])
            count = int(cursor.rowcount)
        if count < len(completions):
            self._discard_unused(dict(zip((each.prediction_id for each in completions), results, strict=True)))
        self._delete_replaced(pk for pk, (_, is_raw) in kept.items() if is_raw)
        return count

    def _discard_unused(self, results: dict[UUID, str | None]) -> None:
        """Delete the stored results of predictions whose lease was lost meanwhile, since no row refers to them."""
        large = {pk: text for pk, text in results.items() if text and text.startswith(REFERENCE)}
        used = set(self.filter(pk__in=large).values_list("result", flat=True)) if large else set()
        discard(text for text in large.values() if text not in used)

    def _kept_inputs(self, completions: Sequence[Completion]) -> dict[UUID, Kept]:
        """The redacted inputs, by the ids of the predictions whose versions have redacted columns."""
        texts = {
            completion.prediction_id: completion.inputs for completion in completions if completion.inputs is not None
        }
        if not texts:
            return {}
        large = dict(self.filter(pk__in=texts, inputs__startswith=REFERENCE).values_list("pk", "inputs"))
        return {pk: in_place_of(large.get(pk, ""), text, pk) for pk, text in texts.items()}

    def _delete_replaced(self, ids: Iterable[UUID]) -> None:
        """Delete the replaced objects after the commit; the sweep repeats what fails here."""
        if own := list(ids):
            transaction.on_commit(lambda: self.redact_ended(own))

    def redact_ended(self, ids: Sequence[UUID] | None = None, *, seconds: float = _SWEEP_SECONDS) -> int:
        """Redact the inputs of ended predictions (of these) that are still raw; how many were redacted."""
        return redact_ended(self.all() if ids is None else self.filter(pk__in=ids), seconds=seconds)

    def requeue_expired(self, *, now: datetime) -> int:
        """running → queued for predictions that no living worker holds; → failed after MLSERVE_MAX_ATTEMPTS."""
        latest = now + lease_duration() + _LARGEST_CLOCK_DIFFERENCE
        return self._requeue(Q(lease_expires_at__lt=now) | Q(lease_expires_at__gt=latest), now)

    def requeue_held_by(self, holders: Sequence[str], *, now: datetime) -> int:
        """The same for workers that are known to be gone."""
        return self._requeue(Q(lease_holder__in=holders), now) if holders else 0

    def _requeue(self, which: Q, now: datetime) -> int:
        held = self.running().filter(which)
        # First what needs no storage: ending a row may have to read its input, which can take as long as a task has.
        back = held.filter(attempts__lt=settings.MLSERVE_MAX_ATTEMPTS).update(
            status=Status.QUEUED, started_at=None, lease_holder="", lease_expires_at=None
        )
        used_up = held.filter(attempts__gte=settings.MLSERVE_MAX_ATTEMPTS)
        given_up = used_up._end(
            status=Status.FAILED,
            error=given_up_error(),
            finished_at=now,
            lease_holder="",
            lease_expires_at=None,
        )
        # Rows that could not end because their input is unreachable lose their worker; the next sweep ends them.
        used_up.update(lease_holder="", lease_expires_at=now)
        return given_up + back

    def requeue_without_attempt(self, *, holder: str, ids: Sequence[UUID] | None = None) -> int:
        """running → queued for predictions that `holder` has claimed (of `ids`), without counting the attempt: they did
        not cause what kept them from being predicted.
        """
        held = self.running().filter(lease_holder=holder)
        mine = held if ids is None else held.filter(pk__in=ids)
        return mine.update(
            status=Status.QUEUED, started_at=None, attempts=F("attempts") - 1, lease_holder="", lease_expires_at=None
        )

    def expire(self, *, now: datetime, batch: int = 1000, seconds: float = _SWEEP_SECONDS) -> int:
        """queued → expired for predictions that waited longer than MLSERVE_QUEUE_SECONDS.

        In small transactions from the oldest on, for about `seconds` at most: the next sweep continues.
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
        """End these predictions and redact raw inputs. A row whose input is unreachable stays for the next sweep."""
        before = {row[0]: row for row in self.values_list("pk", "version_id", "request_id", "created_at", "started_at")}
        ended, replaced = self.filter(is_raw=False).update(**changes), end_raw(self, skips_unavailable, **changes)
        self.model._default_manager.all()._delete_replaced(replaced)
        count = ended + len(replaced)
        if count != len(before):  # another process was faster with some of them
            own = {name: changes[name] for name in ("status", "finished_at")}
            here = self.model._default_manager.filter(pk__in=before, **own)
            before = {pk: before[pk] for pk in here.values_list("pk", flat=True)}
        _count_unanswered(before.values(), changes)
        return count

    def delete_ended_before(self, limit: datetime, *, batch: int = 500, seconds: float = _SWEEP_SECONDS) -> int:
        """Retention: delete what ended before `limit`, oldest first.

        In small transactions, so that no statement waits long for it, and for about `seconds` at most: the next sweep
        continues.
        Ids are in the order of arrival and nothing ends before it arrived, so it stops at the first one that arrived
        after `limit`, and no index on the time of the end is needed.
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
        """Rows whose objects cannot be deleted now stay, because only they name the objects."""
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
        """Delete without looking for rows that refer to these, because there are none."""
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


class Prediction(models.Model):
    """One accepted request, from its rows to its result. Only this row counts; a message merely wakes a worker."""

    Status = Status

    # Time-ordered, so the primary key is also the order of arrival.
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="+", db_index=False)
    # A deleted account's id stays: without it its predictions would be taken for those of callers without an account,
    # to whom they are listed, and could not be erased. Its deletion need not touch them, however many they are.
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.DO_NOTHING, null=True, blank=True, related_name="+", db_index=False,
        db_constraint=False,
    )  # fmt: skip
    # No foreign key: the predictions of a revoked token can still be found, and an insert need not look it up.
    token_id = models.BigIntegerField(null=True, blank=True, help_text="The API token that it was asked with.")
    request_id = models.CharField(
        max_length=100, blank=True, default="", db_default="", help_text="Of the HTTP request."
    )
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED)
    outputs = models.CharField(max_length=100, default="predict", help_text="Methods asked for, comma-separated.")
    row_count = models.PositiveIntegerField()

    # JSON as text: jsonb would reorder names, change numbers and refuse \u0000; nothing queries inside. Large inputs
    # and results are references (predictions/models/payloads.py).
    inputs = models.TextField()
    is_raw = models.BooleanField(
        default=False, db_default=False, help_text="Whether the input still holds values that are not to be kept."
    )
    result = models.TextField(null=True, blank=True)  # noqa: DJ001 - absent is not an empty result
    warnings = models.TextField(default="[]")
    error = models.TextField(null=True, blank=True)  # noqa: DJ001

    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    predict_seconds = models.FloatField(null=True, blank=True)

    attempts = models.PositiveSmallIntegerField(default=0)
    lease_holder = models.CharField(max_length=200, blank=True, default="")
    lease_expires_at = models.DateTimeField(null=True, blank=True)

    objects = PredictionQuerySet.as_manager()

    class Meta:
        ordering = ("-pk",)
        permissions = [("view_inputs", "Can see what was put in")]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=list(Status.values)),
                name="predictions_status_known",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["queued", "running"], finished_at=None)
                | Q(status__in=[state.value for state in ENDED], finished_at__isnull=False),
                name="predictions_finished_at_iff_ended",
            ),
            models.CheckConstraint(
                condition=Q(status="running", lease_expires_at__isnull=False)
                | (~Q(status="running") & Q(lease_expires_at=None)),
                name="predictions_lease_iff_running",
            ),
            models.CheckConstraint(
                condition=~Q(status="succeeded") | Q(result__isnull=False), name="predictions_result_if_succeeded"
            ),
        ]
        # Each insert pays for each index that holds its row: an ended prediction is in two of them, the partial ones
        # are nearly empty. Retention and listings by id need none of their own.
        indexes = [
            # claim: the oldest waiting prediction, and the others of its version; expire; listings of what waits.
            models.Index(fields=["id"], condition=Q(status="queued"), name="predictions_queued"),
            models.Index(fields=["version", "id"], condition=Q(status="queued"), name="predictions_queued_version"),
            # release and listings: a batch per worker at most, so the rest is looked at row by row.
            models.Index(fields=["id"], condition=Q(status="running"), name="predictions_running"),
            # listings: of one owner, and of one version.
            models.Index(fields=["owner", "-id"], name="predictions_owner"),
            models.Index(fields=["version", "-id"], name="predictions_version"),
            # redacting what a process of an older release ended, or one that was killed before it deleted the input.
            models.Index(
                fields=["id"], condition=Q(is_raw=True, finished_at__isnull=False), name="predictions_raw_ended"
            ),
            # listings of what failed, was canceled or expired (`unanswered`): of all owners, and of one.
            models.Index(
                fields=["status", "-id"],
                condition=Q(result=None, finished_at__isnull=False),
                name="predictions_unanswered",
            ),
            models.Index(
                fields=["owner", "status", "-id"],
                condition=Q(result=None, finished_at__isnull=False),
                name="predictions_unanswered_own",
            ),
        ]

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The validated input. Raises Unavailable when the storage that holds it does not answer."""
        rows: list[dict[str, Any]] = orjson.loads(payloads.fetch(self.inputs))
        return rows

    @property
    def result_json(self) -> str | bytes | None:
        """The result as JSON text; None unless it succeeded. Raises Unavailable."""
        return None if self.result is None else payloads.fetch(self.result)


def end_at_once(prediction: Prediction, completion: Completion, *, started_at: datetime, now: datetime) -> None:
    """queued → running → ended for a prediction that is not stored yet."""
    _, prediction.status, prediction.result, prediction.error, prediction.warnings, seconds = finished_row(completion)
    prediction.predict_seconds = seconds
    prediction.started_at, prediction.finished_at, prediction.attempts = started_at, now, 1
    if completion.inputs is not None:
        prediction.inputs, prediction.is_raw = in_place_of(prediction.inputs, completion.inputs, prediction.pk)


def queue_seconds(prediction: Prediction) -> float | None:
    """From accepted to claimed, or to its end when it never was."""
    until = prediction.started_at or (prediction.finished_at if prediction.status != Status.QUEUED else None)
    return None if until is None else (until - prediction.created_at).total_seconds()


def _count_unanswered(rows: Iterable[tuple[Any, ...]], changes: Mapping[str, Any]) -> None:
    kind = GivenUp.slug if changes["status"] == Status.FAILED else ""
    for pk, version_id, request_id, created_at, started_at in rows:
        ended = Ended(pk, request_id, changes["status"], created_at, started_at, changes["finished_at"], kind)
        count_ended(version_by_id(version_id), [ended])
