"""A worker that listens: it is told of each submission directly, and loses nothing that it was told of."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from django_q.models import OrmQ

from predictions import tasks
from predictions.batching import pace
from predictions.models import PendingWakeUp, Prediction
from predictions.queue import wake_ups
from predictions.status import Status
from predictions.worker import wake_up_listener
from registry.models import ModelVersion
from tests.predictions.conftest import Submit
from tests.predictions.listening_worker import PATIENCE_SECONDS, Gate, ListeningWorker, all_have_ended
from tests.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("fresh_worker_state")]


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate = Gate(monkeypatch)
    yield gate
    gate.go.set()


@pytest.fixture
def known_quick(submit_rows: Submit, monkeypatch: pytest.MonkeyPatch) -> None:
    """The version was called before and counts as quick, however slow the machine is that runs the tests."""
    monkeypatch.setattr(pace, "_QUICK_SECONDS", PATIENCE_SECONDS)
    submit_rows()
    tasks.drain()
    Prediction.objects.all().delete()
    OrmQ.objects.all().delete()
    wake_ups.clear_pending_wake_up()


@pytest.fixture
def worker(gate: Gate) -> Iterator[ListeningWorker]:
    worker = ListeningWorker()
    yield worker
    gate.go.set()
    if worker.thread.ident:
        worker.dismiss()


def test_it_predicts_what_waited_for_it(submit_rows: Submit, settings: Any) -> None:
    settings.MLSERVE_DRAIN_SECONDS = 0
    predictions = [submit_rows() for _ in range(3)]

    assert tasks.attend() == 3
    assert all_have_ended()
    assert Prediction.objects.filter(status=Status.SUCCEEDED).count() == len(predictions)


def test_it_is_woken_by_submissions_without_further_tasks(
    submit_rows: Submit, worker: ListeningWorker, known_quick: None
) -> None:
    worker.start_listening()
    started = time.monotonic()
    for _ in range(4):
        submit_rows()
        wait_until(all_have_ended)

    assert time.monotonic() - started < PATIENCE_SECONDS / 2
    assert not OrmQ.objects.exists()
    assert worker.dismiss() == 4


def test_it_leaves_when_its_time_is_up(penguins: ModelVersion, settings: Any) -> None:
    settings.MLSERVE_DRAIN_SECONDS = 0.2
    started = time.monotonic()

    assert tasks.attend() == 0
    assert 0.2 <= time.monotonic() - started < PATIENCE_SECONDS / 2
    assert not wake_ups.listener_socket().send()


def test_it_begins_no_batch_that_its_time_limit_would_end(submit_rows: Submit, settings: Any) -> None:
    settings.MLSERVE_DRAIN_SECONDS, settings.MLSERVE_BATCH_ROWS = 0, 1
    for _ in range(2):
        submit_rows()
    OrmQ.objects.all().delete()

    assert tasks.attend() == 1  # which may have taken nearly all of the time
    assert OrmQ.objects.count() == 1


def test_it_leaves_at_once_when_it_is_dismissed(penguins: ModelVersion, worker: ListeningWorker) -> None:
    worker.start_listening()

    started = time.monotonic()
    worker.dismiss()
    assert time.monotonic() - started < PATIENCE_SECONDS / 2
    assert not wake_ups.listener_socket().send()


def test_it_has_submissions_call_a_worker_where_none_listens(
    submit_rows: Submit, worker: ListeningWorker, known_quick: None
) -> None:
    submit_rows()
    assert OrmQ.objects.count() == 1

    worker.start_listening()
    submit_rows()
    wait_until(all_have_ended)
    worker.dismiss()
    submit_rows()
    assert OrmQ.objects.count() == 2


def test_it_only_empties_the_table_while_another_worker_listens(submit_rows: Submit) -> None:
    other = wake_ups.listener_socket()
    assert other.listen()
    wake_ups._local_socket.cache_clear()  # as in another process
    submit_rows()
    assert not OrmQ.objects.exists()

    started = time.monotonic()
    assert tasks.attend() == 1
    assert time.monotonic() - started < PATIENCE_SECONDS / 2
    assert other.wait(1)  # the wake-up is still the other one's
    assert wake_ups.listener_socket().send()
    other.close()


def test_it_lets_others_listen_while_it_predicts_what_may_be_slow(
    submit_rows: Submit, worker: ListeningWorker, gate: Gate
) -> None:
    """Nothing is known of the version yet."""
    worker.start_listening()
    gate.close()
    submit_rows()
    assert gate.is_called.wait(PATIENCE_SECONDS)
    assert not OrmQ.objects.exists()

    submit_rows()
    assert OrmQ.objects.count() == 1
    gate.go.set()
    wait_until(all_have_ended)
    wait_until(wake_ups.listener_socket().send)  # it is back
    assert worker.dismiss() == 2


def test_it_goes_on_listening_while_it_predicts_what_was_quick(
    submit_rows: Submit, worker: ListeningWorker, gate: Gate, known_quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wake_up_listener, "_LONG_SECONDS", PATIENCE_SECONDS)
    worker.start_listening()
    gate.close()
    submit_rows()
    assert gate.is_called.wait(PATIENCE_SECONDS)

    submit_rows()
    assert not OrmQ.objects.exists()
    gate.go.set()
    wait_until(all_have_ended)
    assert worker.dismiss() == 2


def test_it_calls_another_worker_when_a_quick_version_hangs(
    submit_rows: Submit, worker: ListeningWorker, gate: Gate, known_quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wake_up_listener, "_LONG_SECONDS", 0.05)
    worker.start_listening()
    gate.close()
    submit_rows()
    assert gate.is_called.wait(PATIENCE_SECONDS)
    submit_rows()  # perhaps the wake-up is received, by a busy worker

    wait_until(OrmQ.objects.exists)
    assert not wake_ups.listener_socket().send()
    assert PendingWakeUp.objects.exclude(sent_at=None).exists()
    gate.go.set()
    wait_until(all_have_ended)
    wait_until(wake_ups.listener_socket().send)
    assert worker.dismiss() == 2


def test_it_remembers_how_slow_a_version_was(
    submit_rows: Submit, worker: ListeningWorker, gate: Gate, known_quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker.start_listening()
    monkeypatch.setattr(pace, "_QUICK_SECONDS", 0.0)  # so it was slow
    gate.close()
    submit_rows()
    assert gate.is_called.wait(PATIENCE_SECONDS)

    submit_rows()
    assert OrmQ.objects.count() == 1


@pytest.mark.parametrize(("waiting", "calls"), [(1, 0), (2, 0), (3, 1), (5, 1)])
def test_it_calls_another_worker_when_a_full_batch_leaves_some(
    submit_rows: Submit, settings: Any, known_quick: None, waiting: int, calls: int
) -> None:
    settings.MLSERVE_BATCH_ROWS = 2
    for _ in range(waiting):
        submit_rows()
    OrmQ.objects.all().delete()
    wake_ups.clear_pending_wake_up()

    assert tasks.drain() == waiting
    assert OrmQ.objects.count() == calls
