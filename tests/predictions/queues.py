"""The kinds of queue, for tests that hold for each of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django_q.brokers import get_broker
from django_q.conf import Conf

from predictions.queue import brokers, sqs_messages
from tests.stand_ins.redis import RedisServer

KINDS = ("orm", "sqs", "redis")
# Those that are not the database itself.
REMOTE_KINDS = ("sqs", "redis")
_BROKERS = {"orm": "LocalSocketOrmBroker", "sqs": "SqsBroker", "redis": "RedisBroker"}


@dataclass(frozen=True)
class Kind:
    """An empty queue of some kind; after `make_unreachable` it does not answer, until `make_reachable`."""

    name: str
    make_unreachable: Callable[[], object] = lambda: None
    make_reachable: Callable[[], object] = lambda: None

    def broker(self) -> Any:
        """As django-q2 gets it for each task."""
        return get_broker()


def using(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[Kind]:
    """Let everything use the kind in `request.param`, as MLSERVE_QUEUE would at the start of a process."""
    name: str = request.param
    settings.MLSERVE_QUEUE = name
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "name": f"queue-{uuid4().hex[:12]}"}
    monkeypatch.setattr(Conf, "CLUSTER_NAME", settings.Q_CLUSTER["name"])
    monkeypatch.setattr(Conf, "BROKER_CLASS", f"predictions.queue.brokers.{_BROKERS[name]}")
    monkeypatch.setattr(brokers, "_PAUSE_SECONDS", 0.1)
    yield from _MADE_BY[name](request, monkeypatch)


def _orm(_request: pytest.FixtureRequest, _monkeypatch: pytest.MonkeyPatch) -> Iterator[Kind]:
    yield Kind("orm")


def _sqs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kind]:
    aws = request.getfixturevalue("aws")
    monkeypatch.setattr(Conf, "SQS", {"receive_message_wait_time_seconds": 1})
    aws.client("sqs").create_queue(QueueName=Conf.CLUSTER_NAME)

    def be_at(endpoint_url: str) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint_url)
        sqs_messages.forget_clients()

    be_at(aws.endpoint_url)
    yield Kind("sqs", lambda: be_at("http://127.0.0.1:1"), lambda: be_at(aws.endpoint_url))
    sqs_messages.forget_clients()


def _redis(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kind]:
    folder: Path = request.getfixturevalue("tmp_path")
    server = RedisServer(folder, password="of-the-queue").start()
    monkeypatch.setattr(Conf, "REDIS", server.url)
    yield Kind("redis", server.stop, server.start)
    server.stop()


_MADE_BY = {"orm": _orm, "sqs": _sqs, "redis": _redis}
