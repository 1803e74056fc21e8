"""The ORM broker with its bell, as django-q2 uses it."""

import threading
import time

import pytest
from django.db import connection
from django_q.brokers import get_broker

from predictions.brokers import DoorbellOrmBroker

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def broker() -> DoorbellOrmBroker:
    broker = get_broker("bell-test")
    assert isinstance(broker, DoorbellOrmBroker)
    return broker


def test_it_hands_out_what_was_enqueued_once(broker: DoorbellOrmBroker) -> None:
    broker.enqueue("payload")

    tasks = broker.dequeue()

    assert tasks
    assert [payload for _, payload in tasks] == ["payload"]
    assert broker.dequeue() is None


def test_it_forgets_what_was_acknowledged(broker: DoorbellOrmBroker) -> None:
    broker.enqueue("payload")
    [(task_id, _)] = broker.dequeue() or []
    broker.acknowledge(task_id)

    assert (broker.queue_size(), broker.lock_size()) == (0, 0)


def test_it_wakes_up_at_the_bell_long_before_it_would_look_again(
    broker: DoorbellOrmBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django_q.conf.Conf.POLL", 30)
    started = time.monotonic()

    def enqueue_later() -> None:
        time.sleep(0.3)
        get_broker("bell-test").enqueue("payload")
        connection.close()

    thread = threading.Thread(target=enqueue_later)
    thread.start()
    tasks = broker.dequeue()
    thread.join()

    assert tasks
    assert time.monotonic() - started < 10
