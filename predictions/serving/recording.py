"""Store new predictions: the rows of all requests that meet here share a transaction.

When `record` returns, the rows are in the database: whoever is answered after it can rely on that.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from django.db import DEFAULT_DB_ALIAS, DataError, IntegrityError, connection, connections, transaction
from django.db.models import DateTimeField, UUIDField

from mlserve.prepared import execute_many
from predictions.batching.group_commit import GroupCommit
from predictions.models import Prediction
from predictions.queue.wake_ups import wake_on_commit
from predictions.status import Status

# Bounds the memory and the time of one transaction; a single request may still have more rows of its own.
_MOST_TOGETHER = 256
# All other fields of a prediction are the same in Python and in either database.
_CONVERTED_FIELDS = (DateTimeField, UUIDField)


def record(predictions: Sequence[Prediction]) -> None:
    """Insert predictions that are queued, or that have ended already; wake a worker when there is something to do."""
    if connection.in_atomic_block:
        # What is written in somebody's transaction is not stored yet, so nobody else's rows may join it.
        _write(predictions)
        return
    try:
        _group.add(predictions)
    except (DataError, IntegrityError):
        _write(predictions)  # one bad row refuses the whole group: alone, only the bad one is refused


def _write(predictions: Sequence[Prediction]) -> None:
    if len(predictions) == 1:
        _insert(predictions)  # a statement is a transaction of its own
    else:
        with transaction.atomic():
            _insert(predictions)
    if any(prediction.status == Status.QUEUED for prediction in predictions):
        wake_on_commit()


def _insert(predictions: Sequence[Prediction]) -> None:
    """What `bulk_create` does, without the half millisecond that Django needs to build its statement."""
    database = connections[DEFAULT_DB_ALIAS]
    rows = [[convert(getattr(each, name), database) for name, convert in _columns()] for each in predictions]
    execute_many(_statement(), rows)
    for each in predictions:
        each._state.adding, each._state.db = False, DEFAULT_DB_ALIAS


@cache
def _columns() -> list[tuple[str, Callable[[Any, Any], Any]]]:
    """The attribute of each column, and what makes the database's value of it."""
    return [
        (field.attname, field.get_db_prep_save if isinstance(field, _CONVERTED_FIELDS) else _same)
        for field in Prediction._meta.concrete_fields
    ]


def _same(value: Any, _database: Any) -> Any:
    return value


@cache
def _statement() -> str:
    quote = connection.ops.quote_name
    columns = [quote(str(field.column)) for field in Prediction._meta.concrete_fields]
    table, marks = quote(Prediction._meta.db_table), ", ".join(["%s"] * len(columns))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 - names of our own


_group: GroupCommit[Prediction] = GroupCommit(_write, most_items=_MOST_TOGETHER)
