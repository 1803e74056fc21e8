"""The counts that all processes share: one row of the database for each caller and window.

docs/decisions/0009-counters-and-limits.md says why they are in the database where Redis carries the queue, too.
"""

from datetime import UTC, datetime

from django.db import connection

from mlserve.models import RateWindow
from mlserve.prepared import fetch

# The clocks of several hosts differ a little, so a row is kept for longer than its window.
_GRACE_SECONDS = 60
# SQLite needs a WHERE here, or it reads ON CONFLICT as the condition of a join.
_FROM_NOTHING = "WHERE true"
# The commit of this statement does not wait for the disk: a crash may lose a count, and a request waits for it.
_WITHOUT_FLUSH = "FROM set_config('synchronous_commit', 'off', true)"


def add(name: str, cost: int, *, ends_at: float) -> int:
    """Add `cost` to the count of a window and return the new count. Raises django.db.Error.

    One upsert, so that no two processes can lose a count.
    """
    table = connection.ops.quote_name(RateWindow._meta.db_table)
    until = datetime.fromtimestamp(ends_at + _GRACE_SECONDS, UTC)
    # In a transaction of the caller the setting would hold for all of it.
    may_skip_flush = connection.vendor == "postgresql" and not connection.in_atomic_block
    sql = (
        f"INSERT INTO {table} (name, count, ends_at) "
        f"SELECT %s, %s, %s {_WITHOUT_FLUSH if may_skip_flush else _FROM_NOTHING} "
        f"ON CONFLICT (name) DO UPDATE SET count = {table}.count + excluded.count RETURNING count"
    )
    [[count]] = fetch(sql, [name, cost, connection.ops.adapt_datetimefield_value(until)])
    return int(count)
