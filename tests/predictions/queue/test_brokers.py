"""The brokers as django-q2 uses them: what holds for each kind of queue, then what is one kind's own."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django_q.brokers import get_broker
from django_q.conf import Conf

from mlserve.errors import QueueMissing, Unavailable
from predictions import tasks
from predictions.models import PendingWakeUp, Prediction
from predictions.queue import heartbeat, wake_ups
from predictions.queue.brokers import LocalSocketOrmBroker
from predictions.status import Status
from predictions.worker import draining
from tests.paths import ROOT
from tests.predictions.conftest import Submit
from tests.predictions.listening_worker import PATIENCE_SECONDS, ListeningWorker
from tests.predictions.queues import Kind
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _attended_for_long(settings: Any) -> None:
    """A busy machine may need seconds for a client of AWS, and the worker of a test must still be there then."""
    settings.MLSERVE_DRAIN_SECONDS = PATIENCE_SECONDS


def next_of(broker: Any) -> list[tuple[Any, str]]:
    """The next messages. A broker waits for one for a second, which a busy machine may need for the answer alone."""
    found: list[tuple[Any, str]] = []

    def look() -> bool:
        found.extend(broker.dequeue() or ())
        return bool(found)

    wait_until(look, "a message")
    return found


def test_it_hands_out_what_was_enqueued_once(queue_kind: Kind) -> None:
    queue_kind.broker().enqueue("payload")

    [(_, message)] = next_of(queue_kind.broker())

    assert message == "payload"
    assert queue_kind.broker().dequeue() is None


def test_it_forgets_what_was_acknowledged(queue_kind: Kind) -> None:
    broker = queue_kind.broker()
    broker.enqueue("payload")
    [(task_id, _)] = next_of(broker)
    if task_id:  # as django-q2 does
        broker.acknowledge(task_id)

    assert (broker.queue_size(), broker.lock_size()) == (0, 0)


def test_it_forgets_what_failed(queue_kind: Kind) -> None:
    broker = queue_kind.broker()
    broker.enqueue("payload")
    [(task_id, _)] = next_of(broker)
    broker.fail(task_id)

    assert (broker.queue_size(), broker.lock_size()) == (0, 0)


def test_it_waits_for_nothing_no_longer_than_it_should(queue_kind: Kind) -> None:
    started = time.monotonic()

    assert queue_kind.broker().dequeue() is None
    # Each is set to about a second here; what SQS and django-q2 would do by themselves takes 20.
    assert time.monotonic() - started < 15


def test_it_takes_what_comes_while_it_waits(queue_kind: Kind) -> None:
    def enqueue_later() -> None:
        time.sleep(0.3)
        queue_kind.broker().enqueue("payload")
        connection.close()

    thread = threading.Thread(target=enqueue_later)
    thread.start()
    taken = next_of(queue_kind.broker())
    thread.join()

    assert [message for _, message in taken] == ["payload"]


def test_it_answers_a_ping(queue_kind: Kind) -> None:
    wake_ups.ping()


def test_it_carries_a_wake_up_to_a_worker(queue_kind: Kind, submit_rows: Submit, settings: Any) -> None:
    prediction = submit_rows()
    settings.MLSERVE_DRAIN_SECONDS = 0

    [(_, message)] = next_of(queue_kind.broker())

    assert wake_ups.task_asked_for(message) == "attend"
    tasks.attend()
    prediction.refresh_from_db()
    assert prediction.status == Status.SUCCEEDED


def test_it_hands_a_wake_up_to_the_worker_that_listens(
    queue_kind: Kind, submit_rows: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that comes from another host, where no worker listens."""
    monkeypatch.setattr(draining.paces, "is_quick", lambda _version_id: True)
    worker = ListeningWorker()
    worker.start_listening()
    elsewhere = submit_rows_elsewhere(submit_rows)

    assert queue_kind.broker().dequeue() is None

    wait_until(lambda: Prediction.objects.get(pk=elsewhere.pk).has_ended)
    assert not PendingWakeUp.objects.exclude(sent_at=None).exists()
    assert (queue_kind.broker().queue_size(), queue_kind.broker().lock_size()) == (0, 0)
    worker.dismiss()


def test_it_leaves_a_call_for_help_to_a_second_worker(queue_kind: Kind, submit_rows: Submit) -> None:
    """The worker that listens may be the one that called; on another host it is not."""
    worker = ListeningWorker()
    worker.start_listening()
    wake_ups.call_worker(beside=heartbeat.host_name())
    [(_, message)] = next_of(queue_kind.broker())

    wake_ups.clear_pending_wake_up()
    wake_ups.call_worker(beside="another-host")
    taken = queue_kind.broker().dequeue()

    assert wake_ups.task_asked_for(message) == "attend"
    assert taken is None
    worker.dismiss()


def test_it_dismisses_the_only_worker_that_has_time_for_a_task(queue_kind: Kind) -> None:
    worker, broker = ListeningWorker(), queue_kind.broker()
    worker.start_listening()
    broker.has_idle_worker = lambda: False
    broker.enqueue("something else than a wake-up")

    [(_, message)] = next_of(broker)

    assert message == "something else than a wake-up"
    assert worker.join() == 0


def test_it_takes_nothing_while_all_workers_of_the_host_are_busy(queue_kind: Kind) -> None:
    """A worker of another host may have time for it."""
    broker = queue_kind.broker()
    broker.has_idle_worker = lambda: False
    broker.enqueue("payload")

    assert broker.dequeue() is None

    broker.has_idle_worker = lambda: True
    assert [message for _, message in next_of(broker)] == ["payload"]


def test_it_returns_what_came_after_all_workers_became_busy(queue_kind: Kind) -> None:
    broker, other = queue_kind.broker(), queue_kind.broker()
    answers = iter([True, False])  # before the wait, and after it
    broker.has_idle_worker = lambda: next(answers, False)
    broker.enqueue("payload")

    assert broker.dequeue() is None
    assert broker.dequeue() is None
    assert [message for _, message in next_of(other)] == ["payload"]


def test_it_says_that_the_queue_is_unreachable(remote_queue: Kind) -> None:
    remote_queue.make_unreachable()

    with pytest.raises(Unavailable) as refused:
        wake_ups.ping()

    assert "of-the-queue" not in refused.value.detail


def test_it_waits_for_an_unreachable_queue_and_says_so_once(
    remote_queue: Kind, caplog: pytest.LogCaptureFixture
) -> None:
    broker = remote_queue.broker()
    remote_queue.make_unreachable()

    assert broker.dequeue() is None
    assert broker.dequeue() is None
    remote_queue.make_reachable()
    remote_queue.broker().enqueue("payload")

    assert [message for _, message in next_of(broker)] == ["payload"]
    assert [
        record.message.partition(":")[0] for record in caplog.records if record.name == "predictions.queue.brokers"
    ] == [
        "The queue does not answer, trying on",
        "The queue answers again",
    ]
    assert "of-the-queue" not in caplog.text


def test_it_loses_no_prediction_while_the_queue_is_unreachable(
    remote_queue: Kind, submit_rows: Submit, caplog: pytest.LogCaptureFixture
) -> None:
    remote_queue.make_unreachable()
    prediction = submit_rows()
    assert "the sweep will" in caplog.text
    assert "Traceback" not in caplog.text

    remote_queue.make_reachable()
    PendingWakeUp.objects.update(sent_at=None)  # as after ten seconds
    tasks.sweep()

    assert next_of(remote_queue.broker())
    prediction.refresh_from_db()
    assert prediction.status == Status.QUEUED


def test_it_is_woken_by_the_local_socket_long_before_its_next_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Conf, "POLL", 30)
    broker = get_broker("socket-test")
    assert isinstance(broker, LocalSocketOrmBroker)
    started = time.monotonic()

    def enqueue_later() -> None:
        time.sleep(0.3)
        get_broker("socket-test").enqueue("payload")
        connection.close()

    thread = threading.Thread(target=enqueue_later)
    thread.start()
    taken = broker.dequeue()
    thread.join()

    assert taken
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("queue_kind", ["sqs"], indirect=True)
def test_it_makes_no_queue_by_itself(queue_kind: Kind, aws: Any) -> None:
    missing = aws.new_queue_name()

    with pytest.raises(QueueMissing, match=f"manage.py create_queue {missing}"):
        get_broker(missing).ping()

    listed = aws.client("sqs").list_queues(QueueNamePrefix=missing)
    assert "QueueUrls" not in listed


@pytest.mark.parametrize("queue_kind", ["redis"], indirect=True)
def test_it_goes_on_after_redis_was_restarted(queue_kind: Kind) -> None:
    broker = queue_kind.broker()
    broker.enqueue("before")
    queue_kind.make_unreachable()
    queue_kind.make_reachable()

    broker.enqueue("after")

    assert [message for _, message in next_of(broker)] == ["after"]


def submit_rows_elsewhere(submit_rows: Submit) -> Prediction:
    """A prediction whose submitter found no listening worker, as on another host."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wake_ups, "wake", wake_ups.call_worker)
        return submit_rows()


_LOADED = """
import sys

import django

django.setup()
from django_q.tasks import async_task
from django_q.brokers import get_broker

get_broker("unused")
print(sorted({name.partition(".")[0] for name in sys.modules} & {"boto3", "botocore", "redis"}))
"""


@pytest.mark.parametrize(
    ("kind", "loaded"), [("orm", []), ("sqs", ["botocore"]), ("redis://127.0.0.1:1", ["redis"])], ids=str
)
def test_it_loads_the_client_of_its_own_queue_only(kind: str, loaded: list[str], tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "MLSERVE_QUEUE": kind,
        "MLSERVE_DATA_DIR": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": "mlserve.settings",
    }
    command = [sys.executable, "-c", _LOADED]

    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.stdout.strip() == str(loaded), done.stderr
