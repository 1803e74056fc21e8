"""queued → running: which predictions a worker takes as its next batch."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connection, transaction
from django.db.models import Field, OuterRef, QuerySet, Subquery

from mlserve.prepared import Parameter, PreparedQuery, fetch
from predictions.models import Prediction
from predictions.models.completion import lease_duration
from predictions.models.payloads import REFERENCE
from predictions.status import Status
from registry.models import ModelVersion
from registry.publishing.lookup import Identity, version_by_id, version_of

# SQLite and PostgreSQL limit the parameters of a statement.
_MOST_CLAIMED = 1000
# The columns that a worker needs, in the order of the model; Django reads the others when they are used.
_FIELDS = ("id", "version_id", "request_id", "outputs", "row_count", "inputs", "warnings", "created_at", "attempts")
# With what claiming changes.
_CLAIMED_FIELDS = (*_FIELDS[:3], "status", *_FIELDS[3:8], "started_at", "attempts", "lease_holder")


@dataclass(frozen=True)
class Precedence:
    """Which versions come last, one call of them at a time in the whole service, and which must wait.

    `quarantined`: those that hang, and those whose artifact was unreachable when this process last loaded it. `paused`:
    those of them that must not be tried now. `is_storage_paused`: nor any prediction whose rows are in the storage.
    """

    quarantined: frozenset[int] = frozenset()
    paused: frozenset[int] = frozenset()
    is_storage_paused: bool = False

    def __bool__(self) -> bool:
        return bool(self.quarantined) or self.is_storage_paused


_NO_PRECEDENCE = Precedence()


def _as_many_as_allowed(_version_id: int) -> int:
    rows: int = settings.MLSERVE_BATCH_ROWS
    return rows


def claim(
    *,
    holder: str,
    now: datetime,
    precedence: Precedence = _NO_PRECEDENCE,
    is_turn_of_quarantined: bool = False,
    most_rows: Callable[[int], int] = _as_many_as_allowed,
) -> list[Prediction]:
    """The oldest waiting prediction and others of its version, as one batch that is `holder`'s from now on.

    At most `most_rows` of its version together (a larger prediction comes alone). A prediction comes alone when its
    version is not batchable, and when it was tried before: should it kill the worker again, no other one is lost. The
    last attempt is made while nothing else is tried again, because what kills a worker may end the whole host. Two
    workers never get the same row. Quarantined versions come when no other waits, or when it is their turn.
    """
    first = _FIRST.first()
    if first is None:
        return []  # without SQLite's write lock, which the transaction would take
    if connection.vendor == "postgresql" and not precedence and first[1] < _attempts_before_the_last():
        return _claim_at_once(first, holder, most_rows, now)
    ways: list[_Way] | None = None
    if precedence and not _is_in_order(first[2], precedence, is_turn_of_quarantined):
        ways = _ways_by_precedence(precedence, is_turn_of_quarantined, now)
        if not ways:
            return []  # as above: while only versions that hang have something waiting, most looks are in vain
    with transaction.atomic():
        chosen = _choose(first[0], most_rows, now) if ways is None else []
        if chosen and chosen[0].version_id in precedence.quarantined:  # another worker has claimed `first` meanwhile
            chosen, ways = [], _ways_by_precedence(precedence, is_turn_of_quarantined, now)
        for way in ways or []:
            chosen = chosen or way.choose(precedence, most_rows, now)
        if chosen and _mark(chosen, holder, now) != len(chosen):
            raise AssertionError("rows that this transaction locked changed under it")
    for prediction in chosen:
        prediction.status, prediction.started_at = Status.RUNNING, now
        prediction.attempts += 1
        prediction.lease_holder = holder
    return chosen


def _claim_at_once(
    first: tuple[Any, ...], holder: str, most_rows: Callable[[int], int], now: datetime
) -> list[Prediction]:
    """What the transaction with `_choose` does, in one way there and back, and without a wait for the disk.

    Should the server crash before this is on the disk, the predictions are queued again: with an attempt less, and
    nobody's, so that a result that comes nevertheless is not stored.
    """
    first_id, _, version_id, *identity = first
    version = version_of(Identity._make((version_id, *identity)))
    most_others = min(settings.MLSERVE_BATCH_ROWS, _MOST_CLAIMED) if version.is_batchable else 0
    # In a transaction of the caller the setting would hold for all of it.
    sql = _claim_sql(skips_flush=not connection.in_atomic_block)
    rows = fetch(sql, [
        first_id, _attempts_before_the_last(), version_id, version_id, settings.MLSERVE_BATCH_ROWS, most_others,
        now, holder, now + lease_duration(), most_rows(version_id),
    ])  # fmt: skip
    chosen = [Prediction.from_db(DEFAULT_DB_ALIAS, _CLAIMED_FIELDS, row) for row in sorted(rows)]
    for prediction in chosen:
        prediction.version = version if prediction.version_id == version_id else version_by_id(prediction.version_id)
    return chosen


@cache
def _claim_sql(*, skips_flush: bool) -> str:
    """Of PostgreSQL. The oldest that nobody else claims, and those that `_choose` would add to its batch.

    Another worker may claim `first` meanwhile; what is the oldest then comes alone if it is of another version.
    """
    table = connection.ops.quote_name(Prediction._meta.db_table)
    returned = ", ".join(f"claimed.{name}" for name in _CLAIMED_FIELDS)
    flush = "FROM set_config('synchronous_commit', 'off', true)" if skips_flush else ""
    return f"""
        WITH oldest AS (
            SELECT id, version_id, row_count, attempts FROM {table}
            WHERE status = 'queued' AND id >= %s AND attempts < %s ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
        ), others AS (
            SELECT id, row_count FROM {table}
            WHERE status = 'queued' AND version_id = %s AND attempts = 0 AND id > (
                SELECT id FROM oldest WHERE version_id = %s AND attempts = 0 AND row_count < %s
            ) ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
        ), batch AS (
            SELECT id, 0 AS rows FROM oldest
            UNION ALL
            SELECT id, sum(row_count) OVER (ORDER BY id) + (SELECT row_count FROM oldest) FROM others
        )
        UPDATE {table} AS claimed
        SET status = 'running', started_at = %s, attempts = attempts + 1, lease_holder = %s, lease_expires_at = %s
        {flush}
        WHERE status = 'queued' AND id IN (SELECT id FROM batch WHERE rows <= %s)
        RETURNING {returned}
    """  # noqa: S608 - names of our own; all values are parameters


def _choose(first: UUID, most_rows: Callable[[int], int], now: datetime) -> list[Prediction]:
    # Starting at `first` skips entries of claimed rows before it, which PostgreSQL's index still has.
    row = _OLDEST.first(first=first)
    if row is not None and _is_last_attempt(row) and (_is_another_tried_again(now) or _first_id() != row[0]):
        # An older one may be being claimed now, in a transaction that is not committed yet.
        row = _OLDEST_UNTRIED.first(first=first)
    if row is None:
        return []
    oldest = Prediction.from_db(DEFAULT_DB_ALIAS, _FIELDS, row)
    oldest.version = version_by_id(oldest.version_id)
    if not _is_batchable_now(oldest):
        return [oldest]
    others = _others(min(settings.MLSERVE_BATCH_ROWS, _MOST_CLAIMED))
    found = others.all(version=oldest.version_id, oldest=oldest.pk)
    return _fill_batch(oldest, found, most_rows(oldest.version_id))


@dataclass(frozen=True)
class _Way:
    """Versions for which something waits, oldest first, as they were found without a lock."""

    version_ids: Sequence[int]
    is_quarantined: bool

    def choose(self, precedence: Precedence, most_rows: Callable[[int], int], now: datetime) -> list[Prediction]:
        if self.is_quarantined and not _may_be_called(precedence, now):
            return []
        return _oldest_of(self.version_ids, precedence, most_rows, now)


def _is_in_order(version_id: int, precedence: Precedence, is_turn_of_quarantined: bool) -> bool:
    """Whether the oldest comes next, as if there were no precedence: nearly always, even where versions hang."""
    if precedence.is_storage_paused or version_id in precedence.quarantined:
        return False
    mine = precedence.quarantined - precedence.paused
    return not is_turn_of_quarantined or not Prediction.objects.queued().filter(version__in=mine).exists()


def _ways_by_precedence(precedence: Precedence, is_turn_of_quarantined: bool, now: datetime) -> list[_Way]:
    """What to look for, in this order. It takes milliseconds, in which nobody must wait for SQLite's write lock."""
    others = _with_waiting(ModelVersion.objects.exclude(pk__in=precedence.quarantined), precedence)
    mine = precedence.quarantined - precedence.paused
    quarantined: list[int] = []
    if mine and not _is_one_called(precedence, now):
        quarantined = _with_waiting(ModelVersion.objects.filter(pk__in=mine), precedence)
    ways = [_Way(others, is_quarantined=False), _Way(quarantined, is_quarantined=True)]
    return [way for way in (reversed(ways) if is_turn_of_quarantined else ways) if way.version_ids]


def _may_be_called(precedence: Precedence, now: datetime) -> bool:
    """Not while a worker of any host predicts one of them: else they could occupy all workers."""
    mine = precedence.quarantined - precedence.paused
    locked = ModelVersion.objects.filter(pk__in=mine).order_by("pk").select_for_update(no_key=True)
    # These locks let one transaction at a time decide, and the next one sees its decision.
    if len(locked.values_list("pk")) < len(mine):
        return False  # one was deleted; the list is read again within seconds
    return not _is_one_called(precedence, now)


def _is_one_called(precedence: Precedence, now: datetime) -> bool:
    return Prediction.objects.leased(now=now).filter(version__in=precedence.quarantined).exists()


def _with_waiting(versions: "QuerySet[ModelVersion]", precedence: Precedence) -> list[int]:
    """Reads one range of the index per version, because very many predictions may wait for one version."""
    first = Prediction.objects.queued().filter(version=OuterRef("pk")).order_by("pk")
    if precedence.is_storage_paused:
        first = first.exclude(inputs__startswith=REFERENCE)
    found = versions.annotate(first=Subquery(first.values("pk")[:1])).exclude(first=None).order_by("first")
    return list(found.values_list("pk", flat=True))


def _oldest_of(
    version_ids: Sequence[int], precedence: Precedence, most_rows: Callable[[int], int], now: datetime
) -> list[Prediction]:
    waiting = _unlocked()
    if precedence.is_storage_paused:
        waiting = waiting.exclude(inputs__startswith=REFERENCE)
    for version_id in version_ids:
        mine = waiting.filter(version=version_id).values_list(*_FIELDS)
        row = mine.first()
        if row is not None and _is_last_attempt(row) and _is_another_tried_again(now):
            row = mine.filter(attempts=0).first()
        if row is None:
            continue  # other workers claimed them, or it has to wait
        oldest = Prediction.from_db(DEFAULT_DB_ALIAS, _FIELDS, row)
        oldest.version = version_by_id(oldest.version_id)
        if not _is_batchable_now(oldest):
            return [oldest]
        limit = min(settings.MLSERVE_BATCH_ROWS, _MOST_CLAIMED)
        more = waiting.filter(version=version_id, attempts=0, pk__gt=oldest.pk).values_list(*_FIELDS)[:limit]
        return _fill_batch(oldest, more, most_rows(version_id))
    return []


def _first_id() -> UUID | None:
    first = _FIRST.first()
    return first[0] if first else None


def _is_last_attempt(row: tuple[Any, ...]) -> bool:
    tried: int = row[_FIELDS.index("attempts")]
    return tried >= _attempts_before_the_last()


def _attempts_before_the_last() -> int:
    return max(settings.MLSERVE_MAX_ATTEMPTS - 1, 1)


def _is_another_tried_again(now: datetime) -> bool:
    """Whether a prediction is tried again now. Its worker claims more later; if it dies, the sweep calls another."""
    return Prediction.objects.leased(now=now).filter(attempts__gt=1).exists()


def _is_batchable_now(oldest: Prediction) -> bool:
    is_small = oldest.row_count < settings.MLSERVE_BATCH_ROWS
    return oldest.version.is_batchable and is_small and not oldest.attempts


def _fill_batch(oldest: Prediction, others: Iterable[tuple[Any, ...]], most_rows: int) -> list[Prediction]:
    chosen, rows = [oldest], oldest.row_count
    for row in others:
        prediction = Prediction.from_db(DEFAULT_DB_ALIAS, _FIELDS, row)
        rows += prediction.row_count
        if rows > most_rows:
            break
        prediction.version = oldest.version
        chosen.append(prediction)
    return chosen


def _mark(chosen: list[Prediction], holder: str, now: datetime) -> int:
    """Set the chosen rows to running; the number of those that were still queued."""
    prepared = [Prediction._meta.pk.get_db_prep_value(prediction.pk, connection) for prediction in chosen]
    moment, end = (connection.ops.adapt_datetimefield_value(each) for each in (now, now + lease_duration()))
    table, ids = connection.ops.quote_name(Prediction._meta.db_table), ", ".join(["%s"] * len(chosen))
    # All values are parameters.
    sql = f"""
        UPDATE {table}
        SET status = 'running', started_at = %s, attempts = attempts + 1, lease_holder = %s, lease_expires_at = %s
        WHERE status = 'queued' AND id IN ({ids})
    """  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql, [moment, holder, end, *prepared])
        return int(cursor.rowcount)


def _waiting() -> "QuerySet[Prediction]":
    return Prediction.objects.queued().order_by("pk")


def _unlocked() -> "QuerySet[Prediction]":
    return _waiting().select_for_update(skip_locked=True, of=("self",))


def _oldest_untried() -> "QuerySet[Any, Any]":
    return _unlocked().filter(pk__gte=Parameter("first", _ID), attempts=0).values_list(*_FIELDS)[:1]


def _oldest() -> "QuerySet[Any, Any]":
    return _unlocked().filter(pk__gte=Parameter("first", _ID)).values_list(*_FIELDS)[:1]


@cache
def _others(limit: int) -> PreparedQuery:
    """Queued predictions of the same version, after the oldest, never tried."""

    def build() -> "QuerySet[Any, Any]":
        same = _unlocked().filter(
            version=Parameter("version", ModelVersion._meta.pk), attempts=0, pk__gt=Parameter("oldest", _ID)
        )
        return same.values_list(*_FIELDS)[:limit]

    return PreparedQuery(build)


_ID: "Field[Any, Any]" = Prediction._meta.pk
_FIRST = PreparedQuery(
    lambda: _waiting().values_list("pk", "attempts", *(f"version__{name}" for name in Identity._fields))[:1]
)
_OLDEST = PreparedQuery(_oldest)
_OLDEST_UNTRIED = PreparedQuery(_oldest_untried)
