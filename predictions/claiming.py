"""queued → running: which predictions a worker takes as its next batch."""

from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connection, transaction
from django.db.models import Field, QuerySet

from mlserve.prepared import Parameter, PreparedQuery
from predictions.models import Prediction
from predictions.status import Status
from predictions.transitions import lease_duration
from registry.lookup import version_by_id
from registry.models import ModelVersion

# More rows than this are not worth one statement: SQLite and PostgreSQL bound the parameters of a query.
_MOST_CLAIMED = 1000
# What a worker needs of a prediction, in the order of the model; all else is fetched where it is looked at.
_FIELDS = ("id", "version_id", "request_id", "outputs", "row_count", "inputs", "created_at", "attempts")


def claim(*, holder: str, now: datetime) -> list[Prediction]:
    """The oldest waiting prediction and others of its version, as one batch that is `holder`'s from now on.

    At most MLSERVE_BATCH_ROWS rows together (a larger prediction comes alone), one prediction at a time for versions
    that are not batchable, and alone for what was tried before: should it kill the worker again, it takes no
    neighbour along. Two workers never get the same row.
    """
    first = _FIRST.first()
    if first is None:
        return []  # without taking SQLite's write lock
    with transaction.atomic():
        chosen = _choose(first[0])
        if chosen and _mark(chosen, holder, now) != len(chosen):
            raise AssertionError("rows that this transaction locked changed under it")
    for prediction in chosen:
        prediction.status, prediction.started_at = Status.RUNNING, now
        prediction.attempts += 1
        prediction.lease_holder = holder
    return chosen


def _choose(first: UUID) -> list[Prediction]:
    # PostgreSQL's index still holds what was claimed before `first`; one walk over it is enough.
    row = _OLDEST.first(first=first)
    if row is None:
        return []
    oldest = Prediction.from_db(DEFAULT_DB_ALIAS, _FIELDS, row)
    version = oldest.version = version_by_id(oldest.version_id)
    chosen, rows = [oldest], oldest.row_count
    if oldest.attempts or not version.is_batchable or rows >= settings.MLSERVE_BATCH_ROWS:
        return chosen
    others = _others(min(settings.MLSERVE_BATCH_ROWS, _MOST_CLAIMED))
    for row in others.all(version=version.pk, oldest=oldest.pk):
        prediction = Prediction.from_db(DEFAULT_DB_ALIAS, _FIELDS, row)
        rows += prediction.row_count
        if rows > settings.MLSERVE_BATCH_ROWS:
            break
        prediction.version = version
        chosen.append(prediction)
    return chosen


def _mark(chosen: list[Prediction], holder: str, now: datetime) -> int:
    """The number of rows that were still queued, and are running now."""
    prepared = [Prediction._meta.pk.get_db_prep_value(prediction.pk, connection) for prediction in chosen]
    moment, end = (connection.ops.adapt_datetimefield_value(each) for each in (now, now + lease_duration()))
    table, ids = connection.ops.quote_name(Prediction._meta.db_table), ", ".join(["%s"] * len(chosen))
    # Values only ever travel as parameters.
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


def _oldest() -> "QuerySet[Any, Any]":
    return _unlocked().filter(pk__gte=Parameter("first", _ID)).values_list(*_FIELDS)[:1]


@cache
def _others(limit: int) -> PreparedQuery:
    """Of the same version, after the oldest, never tried."""

    def build() -> "QuerySet[Any, Any]":
        same = _unlocked().filter(
            version=Parameter("version", ModelVersion._meta.pk), attempts=0, pk__gt=Parameter("oldest", _ID)
        )
        return same.values_list(*_FIELDS)[:limit]

    return PreparedQuery(build)


_ID: "Field[Any, Any]" = Prediction._meta.pk
_FIRST = PreparedQuery(lambda: _waiting().values_list("pk")[:1])
_OLDEST = PreparedQuery(_oldest)
