"""The totals of /metrics: what all processes counted, added up in the database.

Each process adds what it counted about once a second, so that no request pays for it. A process that is killed loses
what it counted since then; predictions are stored before their callers are answered, so none is lost with it.
"""

import logging
import threading
import time
from multiprocessing.util import Finalize

from django.conf import settings
from django.db import Error as AnyDatabaseError
from django.db import close_old_connections, connection, transaction

from mlserve.observability.counters import Series, counters
from mlserve.observability.database_errors import trouble_of
from mlserve.observability.repeated_lines import log_again
from mlserve.prepared import execute_many
from predictions.metrics.total import Total

log = logging.getLogger(__name__)

FLUSH_SECONDS = 1.0


class _State:
    """Whether this process adds its counts by itself, and when it last did."""

    is_on = False
    flushed_at = 0.0


def flush() -> None:
    """Add what this process counted to the totals. What the database does not take is kept for the next time."""
    numbers = counters.take()
    _State.flushed_at = time.monotonic()
    if not numbers:
        return
    try:
        _add(numbers)
    except AnyDatabaseError as error:
        counters.add_back(numbers)
        trouble = trouble_of(error)
        found = trouble.for_operators(error) if trouble else error
        line = f"What was counted for /metrics is kept until the database takes it: {found}"
        log_again(log, logging.WARNING, line, about=trouble.what if trouble else "")


def flush_if_due(*, after_seconds: float = FLUSH_SECONDS) -> None:
    """Flush after a piece of work, unless the last time is too recent: on Lambda, and after `flush_by_itself`."""
    if (_State.is_on or settings.ON_LAMBDA) and time.monotonic() - _State.flushed_at >= after_seconds:
        flush()


def flush_by_itself() -> None:
    """From now on `flush_if_due` flushes, and so does the end of this process."""
    _State.is_on = True
    Finalize(None, flush, exitpriority=10)


def flush_in_background() -> None:
    """A thread flushes once a second while something is counted, and so does the end of this process."""
    flush_by_itself()
    threading.Thread(target=_flush_for_ever, name="metrics", daemon=True).start()


def read_totals() -> dict[Series, float]:
    """Everything that was counted until now. Raises django.db.Error."""
    rows = Total.objects.values_list("metric", "model", "version", "label", "value")
    return {Series(*labels): value for *labels, value in rows}


def _flush_for_ever() -> None:
    while True:
        time.sleep(FLUSH_SECONDS)
        flush()
        close_old_connections()  # a process that counts nothing has none after CONN_MAX_AGE


def _add(numbers: dict[Series, float]) -> None:
    """In the same order in all processes, so that no two of them wait for each other's rows."""
    table = connection.ops.quote_name(Total._meta.db_table)
    sql = f"""
        INSERT INTO {table} (metric, model, version, label, value) VALUES (%s, %s, %s, %s, %s)
        ON CONFLICT (metric, model, version, label) DO UPDATE SET value = {table}.value + excluded.value
    """  # noqa: S608 - a name of our own
    with transaction.atomic():
        execute_many(sql, [(*series, value) for series, value in sorted(numbers.items())])
