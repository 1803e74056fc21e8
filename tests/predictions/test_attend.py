"""A worker that stays for more: told of each submission directly, and nothing that it was told of is lost."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from django_q.models import OrmQ

from predictions import attendance, queue, runtime, tasks
from predictions.attendance import Attendance
from predictions.doorbell import Doorbell
from predictions.models import Prediction, WakeUp
from predictions.status import Status
from registry.models import ModelVersion
from tests.predictions.conftest import Submit

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE_SECONDS = 20


class Gate:
    """Stands in the way of `runtime.predict` while it is closed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_called, self.go = threading.Event(), threading.Event()
        self.go.set()
        self._predict = runtime.predict
        monkeypatch.setattr(runtime, "predict", self)

    def __call__(self, version: ModelVersion, rows: Any, outputs: Any) -> Any:
        self.is_called.set()
        assert self.go.wait(PATIENCE_SECONDS)
        return self._predict(version, rows, outputs)

    def close(self) -> None:
        self.is_called.clear()
        self.go.clear()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate = Gate(monkeypatch)
    yield gate
    gate.go.set()


@pytest.fixture(autouse=True)
def _own_bell(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[None]:
    """Nothing is known of how quick a version is, and nobody listens yet."""
    monkeypatch.setattr(tasks, "_seconds_of_last_batch", {})
    settings.MLSERVE_DRAIN_SECONDS = PATIENCE_SECONDS
    yield
    queue.attending_bell().close()


@pytest.fixture
def known_quick(submit_rows: Submit, monkeypatch: pytest.MonkeyPatch) -> None:
    """The version was called before and counts as quick, however slow the machine is that runs the tests."""
    monkeypatch.setattr(tasks, "_QUICK_SECONDS", PATIENCE_SECONDS)
    submit_rows()
    tasks.drain()
    Prediction.objects.all().delete()
    OrmQ.objects.all().delete()
    queue.answer()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def all_have_ended() -> bool:
    return not Prediction.objects.queued().exists() and not Prediction.objects.running().exists()


class Worker:
    """A thread that attends, as a worker does."""

    def __init__(self) -> None:
        self.ended = 0
        self._thread = threading.Thread(target=self._attend, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def start_listening(self) -> None:
        """Returns once somebody who rings is heard."""
        self._thread.start()
        wait_until(queue.attending_bell().ring)

    def join(self) -> int:
        """How many predictions it ended."""
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive()
        return self.ended

    def dismiss(self) -> int:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._thread.is_alive() and time.monotonic() < deadline:
            queue.attending_bell().dismiss()  # it may be busy, and not listen at this moment
            self._thread.join(0.01)
        return self.join()

    def _attend(self) -> None:
        try:
            self.ended = tasks.attend()
        finally:
            connection.close()


@pytest.fixture
def worker(gate: Gate) -> Iterator[Worker]:
    worker = Worker()
    yield worker
    gate.go.set()
    if worker._thread.ident:
        worker.dismiss()


def test_it_predicts_what_waited_for_it(submit_rows: Submit, settings: Any) -> None:
    settings.MLSERVE_DRAIN_SECONDS = 0
    predictions = [submit_rows() for _ in range(3)]

    assert tasks.attend() == 3
    assert all_have_ended()
    assert Prediction.objects.filter(status=Status.SUCCEEDED).count() == len(predictions)


def test_it_hears_of_submissions_without_further_tasks(submit_rows: Submit, worker: Worker, known_quick: None) -> None:
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
    assert not queue.attending_bell().ring()


def test_it_leaves_at_once_when_it_is_dismissed(penguins: ModelVersion, worker: Worker) -> None:
    worker.start_listening()

    started = time.monotonic()
    worker.dismiss()
    assert time.monotonic() - started < PATIENCE_SECONDS / 2
    assert not queue.attending_bell().ring()


def test_it_has_submissions_call_a_worker_where_none_attends(
    submit_rows: Submit, worker: Worker, known_quick: None
) -> None:
    submit_rows()
    assert OrmQ.objects.count() == 1

    worker.start_listening()
    submit_rows()
    wait_until(all_have_ended)
    worker.dismiss()
    submit_rows()
    assert OrmQ.objects.count() == 2


def test_it_only_empties_the_table_while_another_worker_attends(submit_rows: Submit) -> None:
    other = queue.attending_bell()
    assert other.listen()
    queue._bell.cache_clear()  # as in another process
    submit_rows()
    assert not OrmQ.objects.exists()

    started = time.monotonic()
    assert tasks.attend() == 1
    assert time.monotonic() - started < PATIENCE_SECONDS / 2
    assert other.wait(1)  # the ring is still the other one's
    assert queue.attending_bell().ring()
    other.close()


def test_it_lets_others_attend_while_it_predicts_what_may_be_slow(
    submit_rows: Submit, worker: Worker, gate: Gate
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
    wait_until(queue.attending_bell().ring)  # it is back
    assert worker.dismiss() == 2


def test_it_goes_on_listening_while_it_predicts_what_was_quick(
    submit_rows: Submit, worker: Worker, gate: Gate, known_quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attendance, "_LONG_SECONDS", PATIENCE_SECONDS)
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
    submit_rows: Submit, worker: Worker, gate: Gate, known_quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attendance, "_LONG_SECONDS", 0.05)
    worker.start_listening()
    gate.close()
    submit_rows()
    assert gate.is_called.wait(PATIENCE_SECONDS)
    submit_rows()  # perhaps it is heard, by one who is busy

    wait_until(OrmQ.objects.exists)
    assert not queue.attending_bell().ring()
    assert WakeUp.objects.exclude(rung_at=None).exists()
    gate.go.set()
    wait_until(all_have_ended)
    wait_until(queue.attending_bell().ring)
    assert worker.dismiss() == 2


def test_it_remembers_how_slow_a_version_was(
    submit_rows: Submit, worker: Worker, gate: Gate, known_quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker.start_listening()
    monkeypatch.setattr(tasks, "_QUICK_SECONDS", 0.0)  # so it was slow
    gate.close()
    submit_rows()
    assert gate.is_called.wait(PATIENCE_SECONDS)

    submit_rows()
    assert OrmQ.objects.count() == 1


def test_it_is_heard_although_it_stepped_aside_as_the_call_ended(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that watches closes the bell; it must not do so under whoever waits already."""
    monkeypatch.setattr(attendance, "_LONG_SECONDS", 0.02)
    is_closing, close = threading.Event(), Doorbell.close

    def close_slowly(bell: Doorbell) -> None:
        if threading.current_thread().name == "attendance":
            is_closing.set()
            time.sleep(0.1)
        close(bell)

    monkeypatch.setattr(Doorbell, "close", close_slowly)
    with Attendance() as attended:
        with attended.call():
            assert is_closing.wait(PATIENCE_SECONDS)
        assert attended.wait(PATIENCE_SECONDS)  # to look for what came meanwhile
        threading.Timer(0.3, queue.attending_bell().ring).start()
        assert attended.wait(2)


def test_it_looks_for_what_came_while_it_had_stepped_aside(
    submit_rows: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker was called for it, but perhaps there is no other, or it is busy."""
    listen, listened, waited = Doorbell.listen, [0], []

    def submit_and_listen(bell: Doorbell) -> bool:
        listened[0] += 1
        if listened[0] == 2:
            submit_rows()
        return listen(bell)

    def leave(_bell: Doorbell, _timeout_seconds: float) -> bool:
        waited.append(all_have_ended())
        return False

    monkeypatch.setattr(Doorbell, "listen", submit_and_listen)
    monkeypatch.setattr(Doorbell, "wait", leave)
    submit_rows()  # of an unknown version, for which it steps aside

    assert tasks.attend() == 2
    assert waited == [True]


@pytest.mark.parametrize(("waiting", "calls"), [(1, 0), (2, 0), (3, 1), (5, 1)])
def test_it_calls_another_worker_when_a_full_batch_leaves_some(
    submit_rows: Submit, settings: Any, known_quick: None, waiting: int, calls: int
) -> None:
    settings.MLSERVE_BATCH_ROWS = 2
    for _ in range(waiting):
        submit_rows()
    OrmQ.objects.all().delete()
    queue.answer()

    assert tasks.drain() == waiting
    assert OrmQ.objects.count() == calls


def test_it_finds_what_was_submitted_between_the_last_look_and_the_end_of_listening(
    submit_rows: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The submission was heard, so nobody else was called for it."""

    def submit_as_the_time_runs_out(_bell: Doorbell, _timeout_seconds: float) -> bool:
        submit_rows()
        assert not OrmQ.objects.exists()
        return False

    monkeypatch.setattr(Doorbell, "wait", submit_as_the_time_runs_out)

    assert tasks.attend() == 1
    assert all_have_ended()


def test_it_finds_what_was_submitted_as_it_was_dismissed(submit_rows: Submit, monkeypatch: pytest.MonkeyPatch) -> None:
    wait = Doorbell.wait

    def be_dismissed(bell: Doorbell, timeout_seconds: float) -> bool:
        bell.dismiss()
        submit_rows()
        assert not OrmQ.objects.exists()
        return wait(bell, timeout_seconds)

    monkeypatch.setattr(Doorbell, "wait", be_dismissed)

    assert tasks.attend() == 1


def test_it_has_a_worker_called_for_what_was_submitted_after_it_left(
    submit_rows: Submit, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.MLSERVE_DRAIN_SECONDS = 0.01
    close = Doorbell.close

    def close_and_submit(bell: Doorbell) -> None:
        close(bell)
        if not Prediction.objects.exists():
            submit_rows()

    monkeypatch.setattr(Doorbell, "close", close_and_submit)

    assert tasks.attend() == 1  # by its last look
    assert OrmQ.objects.count() == 1  # or by the next worker


def test_it_has_a_worker_called_for_what_was_submitted_before_it_listened(
    submit_rows: Submit, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.MLSERVE_DRAIN_SECONDS = 0.05
    listen = Doorbell.listen

    def submit_and_listen(bell: Doorbell) -> bool:
        if not Prediction.objects.exists():
            submit_rows()
        return listen(bell)

    monkeypatch.setattr(Doorbell, "listen", submit_and_listen)

    assert tasks.attend() == 1
    assert OrmQ.objects.count() == 1


def test_it_stops_listening_when_it_is_interrupted(submit_rows: Submit, monkeypatch: pytest.MonkeyPatch) -> None:
    def time_is_up(*_: Any) -> None:
        raise SystemExit("Task exceeded maximum timeout value")

    prediction = submit_rows()
    OrmQ.objects.all().delete()
    queue.answer()
    monkeypatch.setattr(runtime, "predict", time_is_up)

    with pytest.raises(SystemExit):
        tasks.attend()

    prediction.refresh_from_db()
    assert prediction.status == Status.QUEUED
    assert OrmQ.objects.count() == 1
    assert not queue.attending_bell().ring()
    assert not [thread for thread in threading.enumerate() if thread.name == "attendance"]


@pytest.mark.parametrize("seed", range(2))
def test_it_leaves_nothing_waiting_however_workers_come_and_go(
    submit_rows: Submit, monkeypatch: pytest.MonkeyPatch, settings: Any, seed: int
) -> None:
    """Two workers, who attend for moments and come back only when there is a task for them; no sweep helps."""
    settings.MLSERVE_DRAIN_SECONDS, settings.MLSERVE_BATCH_ROWS = 0.03, 3
    bells = threading.local()
    attending = queue.attending_bell()._path.name  # the same place for each thread's own object

    def own_bell() -> Doorbell:
        if not hasattr(bells, "bell"):
            bells.bell = Doorbell(f"{queue._queue_name()} attending")
            assert bells.bell._path.name == attending
        bell: Doorbell = bells.bell
        return bell

    monkeypatch.setattr(queue, "attending_bell", own_bell)
    is_over = threading.Event()

    def work() -> None:
        chance = random.Random(threading.get_ident() + seed)
        while not is_over.is_set():
            task = OrmQ.objects.order_by("pk").values_list("pk", flat=True).first()
            if task is not None and OrmQ.objects.filter(pk=task).delete()[0]:
                tasks.attend()
            time.sleep(chance.random() * 0.01)
        connection.close()

    workers = [threading.Thread(target=work, daemon=True) for _ in range(2)]
    for thread in workers:
        thread.start()
    chance = random.Random(seed)
    try:
        for _ in range(60):
            submit_rows()
            time.sleep(chance.choice((0, 0, 0.005, 0.03, 0.06)))
        wait_until(all_have_ended)
    finally:
        is_over.set()
        for thread in workers:
            thread.join(PATIENCE_SECONDS)
    assert Prediction.objects.filter(status=Status.SUCCEEDED).count() == 60
