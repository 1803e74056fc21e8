"""Where all processes count together: the database, or Redis where the queue is there.

A count is one statement or one round trip, and either can fail: whoever counts then goes on alone
(`mlserve/access/throttling.py`).
"""

from datetime import UTC, datetime
from functools import cache
from typing import Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections

from mlserve.models import RateWindow
from mlserve.prepared import fetch

# A throttle is no reason to let a request wait.
_REDIS_SECONDS = 0.5
# Clocks of several hosts differ a little; a window is kept that much longer.
_GRACE_SECONDS = 60


class CountUnavailable(Exception):
    """The place of the counts does not answer."""


def add(name: str, cost: int, *, ends_at: float) -> int:
    """Add `cost` to the count of a window and give the new count. Raises CountUnavailable."""
    return (
        _add_in_redis(name, cost, ends_at) if settings.MLSERVE_QUEUE == "redis" else _add_in_rows(name, cost, ends_at)
    )


def _add_in_rows(name: str, cost: int, ends_at: float) -> int:
    database = connections[DEFAULT_DB_ALIAS]
    until = datetime.fromtimestamp(ends_at + _GRACE_SECONDS, UTC)
    try:
        rows = fetch(_statement(), [name, cost, database.ops.adapt_datetimefield_value(until)])
    except DatabaseError as error:
        raise CountUnavailable(str(error)) from error
    return int(rows[0][0])


@cache
def _statement() -> str:
    """An upsert in the words that both databases know, so that no two processes can lose a count."""
    quote = connections[DEFAULT_DB_ALIAS].ops.quote_name
    table = quote(RateWindow._meta.db_table)
    return (
        f"INSERT INTO {table} (name, count, ends_at) VALUES (%s, %s, %s) "  # noqa: S608 - a name of our own
        f"ON CONFLICT (name) DO UPDATE SET count = {table}.count + excluded.count RETURNING count"
    )


def _add_in_redis(name: str, cost: int, ends_at: float) -> int:
    from redis import RedisError  # only where it is the queue

    key = f"mlserve:{settings.Q_CLUSTER['name']}:rate:{name}"
    try:
        with _redis(settings.Q_CLUSTER["redis"]).pipeline(transaction=True) as pipeline:
            pipeline.incrby(key, cost)
            pipeline.expireat(key, int(ends_at) + _GRACE_SECONDS)
            return int(pipeline.execute()[0])
    except (RedisError, ValueError) as error:
        raise CountUnavailable(str(error)) from error


@cache
def _redis(url: str) -> Any:
    """One per process; threads share it. It never tries twice."""
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return Redis.from_url(
        url, socket_connect_timeout=_REDIS_SECONDS, socket_timeout=_REDIS_SECONDS, retry=Retry(NoBackoff(), 0),
        protocol=2,
    )  # fmt: skip
