"""The only door to Redis: a list of messages per queue, first in, first out.

What is popped is gone, also when its taker dies: the sweep makes up for that. Nothing needs to survive a
restart of the server.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from redis import Redis, RedisError
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from mlserve.errors import Unavailable

# Between two looks whether to go on; longer than this the server never holds a connection.
_POP_SECONDS = 1
# A request is answered after its wake-up was sent, so that must not take long, even where nothing answers.
_ANSWER_SECONDS = 3.0


def push(url: str, queue: str, body: str) -> None:
    """Raises Unavailable."""
    with _answering("sending"):
        _client(url).rpush(_key(queue), body)


def pop(url: str, queue: str) -> str | None:
    """The oldest message; waits for one for a second. Raises Unavailable."""
    with _answering("receiving"):
        popped: Any = _client(url).blpop([_key(queue)], timeout=_POP_SECONDS)
    return popped[1].decode() if popped else None


def length(url: str, queue: str) -> int:
    """Raises Unavailable."""
    with _answering("counting messages"):
        return int(_client(url).llen(_key(queue)))


def _key(queue: str) -> str:
    return f"mlserve:{queue}:messages"


@cache
def _client(url: str) -> Redis:
    """One per process and server. Threads share it, and a forked process makes connections of its own."""
    return Redis.from_url(
        url,
        socket_connect_timeout=_ANSWER_SECONDS,
        socket_timeout=_POP_SECONDS + _ANSWER_SECONDS,
        # A firewall may have dropped a connection that was idle for long, without a word.
        health_check_interval=30,
        # A server that was restarted has closed all connections.
        retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), retries=1),
        protocol=2,  # every server speaks it, and nothing here needs the other one
    )


@contextmanager
def _answering(act: str) -> Iterator[None]:
    """What the client raises in the block becomes Unavailable; `act` is a gerund."""
    try:
        yield
    except RedisError as error:
        raise Unavailable(f"Redis: {act} failed: {error}") from error
    except ValueError:  # it quotes a part of the address, which may be one of the password
        raise Unavailable("Redis: MLSERVE_QUEUE is no address as redis://user:password@host:6379/0.") from None
