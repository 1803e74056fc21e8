"""Store new predictions. When `record` returns, the rows are in the database, and the caller may be answered.

The rows of requests that meet here share a transaction. SQLite lets one connection write at a time. PostgreSQL commits
several at once, and faster than one of them could commit for all; beyond some, more only cost more (decision 0017).
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from django.db import DEFAULT_DB_ALIAS, DataError, IntegrityError, connection, connections
from django.db.models import DateTimeField, UUIDField

from mlserve.prepared import execute_many
from predictions.batching.group_commit import GroupCommit
from predictions.models import Prediction
from predictions.queue.wake_ups import wake_on_commit
from predictions.status import Status

# Bounds the memory and the time of one transaction; a single request may still have more rows of its own.
_MOST_TOGETHER = 256
# Of each process.
_MOST_WRITERS = {"sqlite": 1, "postgresql": 4}
# All other fields of a prediction are the same in Python and in either database.
_CONVERTED_FIELDS = (DateTimeField, UUIDField)


def record(predictions: Sequence[Prediction]) -> None:
    """Insert predictions that are queued, or that have ended already; wake a worker when there is something to do.

    1. join the rows of other requests    2. INSERT    3. wake a worker after the commit
    """
    # What is written in a caller's transaction is not stored yet, so no other request's rows may join it.
    if not connection.in_atomic_block:
        try:
            _group.add(predictions)
        except (DataError, IntegrityError):
            pass  # one bad row refuses the whole group: alone, only the bad one is refused
        else:
            return
    _write(predictions)


def _write(predictions: Sequence[Prediction]) -> None:
    """What `bulk_create` does, without the half millisecond that Django needs to build its statement."""
    sql, columns = _insert_statement()
    database = connections[DEFAULT_DB_ALIAS]
    rows = [[convert(getattr(each, name), database) for name, convert in columns] for each in predictions]
    execute_many(sql, rows)
    for each in predictions:
        each._state.adding, each._state.db = False, DEFAULT_DB_ALIAS
    if any(prediction.status == Status.QUEUED for prediction in predictions):
        wake_on_commit()


@cache
def _insert_statement() -> tuple[str, list[tuple[str, Callable[[Any, Any], Any]]]]:
    """The SQL, and for each of its values the attribute and what makes the database's value of it."""
    quote, fields = connection.ops.quote_name, Prediction._meta.concrete_fields
    names, marks = ", ".join(quote(str(field.column)) for field in fields), ", ".join(["%s"] * len(fields))
    columns = [
        (field.attname, field.get_db_prep_save if isinstance(field, _CONVERTED_FIELDS) else lambda value, _: value)
        for field in fields
    ]
    table = quote(Prediction._meta.db_table)
    return f"INSERT INTO {table} ({names}) VALUES ({marks})", columns  # noqa: S608 - names of our own


_group: GroupCommit[Prediction] = GroupCommit(
    _write, most_items=_MOST_TOGETHER, most_writers=_MOST_WRITERS.get(connection.vendor, 1)
)
