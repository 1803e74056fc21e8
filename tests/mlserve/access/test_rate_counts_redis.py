"""Counts of throttles at a real Redis, where it carries the queue."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from mlserve.access import rate_counts, throttling
from mlserve.access.throttling import wait_seconds
from mlserve.conf.rates import Rate
from tests.stand_ins.redis import RedisServer

pytestmark = pytest.mark.once

RATE = Rate(20, 3600)


@pytest.fixture
def redis(tmp_path: Path, settings: Any) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path, password="secret").start()
    settings.MLSERVE_QUEUE = "redis"
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "redis": server.url}
    throttling.forget_all()
    yield server
    server.stop()
    throttling.forget_all()
    rate_counts._redis.cache_clear()


def test_it_counts_over_all_processes(redis: RedisServer) -> None:
    granted = 0
    for _ in range(6):
        granted += sum(wait_seconds("token:1", RATE) == 0 for _ in range(5))
        throttling.forget_all()

    assert 15 <= granted <= 20


def test_it_lets_redis_forget(redis: RedisServer) -> None:
    wait_seconds("token:1", RATE)

    with Redis.from_url(redis.url, protocol=2) as client:
        keys: Any = client.keys("*")
        assert len(keys) == 1
        assert 0 < int(client.ttl(keys[0])) <= 3600 + 60


def test_it_does_not_wait_for_one_that_is_gone(redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    redis.stop()
    began = time.monotonic()
    granted = sum(wait_seconds("token:1", RATE) == 0 for _ in range(40))

    assert granted == 20
    assert time.monotonic() - began < 3
    assert "secret" not in caplog.text
