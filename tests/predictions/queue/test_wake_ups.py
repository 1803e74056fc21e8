"""Wake-ups: one task for a burst, and no row that is left waiting."""

import os
from datetime import timedelta
from queue import SimpleQueue
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from django_q.models import OrmQ, Schedule

from predictions import tasks
from predictions.models import PendingWakeUp, Prediction
from predictions.queue import wake_ups
from predictions.status import Status
from tests.predictions.conftest import Submit

pytestmark = pytest.mark.django_db(transaction=True)


def test_it_makes_one_task_of_a_burst(submit_rows: Submit) -> None:
    for _ in range(50):
        submit_rows()

    assert OrmQ.objects.count() == 1


def test_it_makes_a_new_task_once_the_pending_wake_up_was_cleared(submit_rows: Submit) -> None:
    submit_rows()
    wake_ups.clear_pending_wake_up()
    submit_rows()

    assert OrmQ.objects.count() == 2


def test_it_wakes_no_worker_when_the_transaction_is_rolled_back(submit_rows: Submit) -> None:
    with transaction.atomic():
        submit_rows()
        transaction.set_rollback(True)

    assert not OrmQ.objects.exists()
    assert not Prediction.objects.exists()


def test_it_calls_again_when_no_worker_came_for_long(submit_rows: Submit) -> None:
    submit_rows()
    long_ago = timezone.now() - timedelta(seconds=wake_ups.WAKE_UP_PATIENCE_SECONDS + 1)
    PendingWakeUp.objects.update(sent_at=long_ago)

    assert wake_ups.call_worker()
    assert OrmQ.objects.count() == 2


def test_it_calls_again_when_a_clock_that_was_ahead_called_last(submit_rows: Submit) -> None:
    submit_rows()
    PendingWakeUp.objects.update(sent_at=timezone.now() + timedelta(days=365))

    assert wake_ups.call_worker()
    assert not wake_ups.call_worker()


def test_it_finds_a_row_that_was_committed_while_a_worker_began(
    submit_rows: Submit, monkeypatch: Any, settings: Any
) -> None:
    """The pending wake-up is cleared before the table is read: a row stored in between is read, and calls once more."""
    submit_rows()
    clear = wake_ups.clear_pending_wake_up

    def clear_and_submit() -> None:
        clear()
        submit_rows()

    monkeypatch.setattr(wake_ups, "clear_pending_wake_up", clear_and_submit)
    settings.MLSERVE_DRAIN_SECONDS = 0

    assert tasks.attend() == 2
    assert OrmQ.objects.count() == 2


def test_it_keeps_the_prediction_when_the_broker_is_down(submit_rows: Submit, monkeypatch: Any) -> None:
    def refuse(*_: Any) -> None:
        raise ConnectionError("no broker")

    monkeypatch.setattr(wake_ups, "_enqueue", refuse)

    prediction = submit_rows()

    prediction.refresh_from_db()
    assert prediction.status == Status.QUEUED


def test_the_sweep_calls_a_worker_for_what_waits_without_a_task(submit_rows: Submit) -> None:
    submit_rows()
    OrmQ.objects.all().delete()
    PendingWakeUp.objects.all().delete()

    tasks.sweep()

    assert OrmQ.objects.count() == 1


def test_the_sweep_leaves_an_empty_queue_alone(penguins: Any) -> None:
    tasks.sweep()

    assert not OrmQ.objects.exists()


def test_it_sweeps_although_a_clock_that_was_ahead_has_put_it_off(db: None) -> None:
    wake_ups.schedule_sweep()
    Schedule.objects.update(next_run=timezone.now() + timedelta(days=365))

    wake_ups.keep_sweep_due()

    assert Schedule.objects.get().next_run <= timezone.now()


def test_it_schedules_the_sweep_once(db: None) -> None:
    wake_ups.schedule_sweep()
    wake_ups.schedule_sweep()

    assert Schedule.objects.filter(func="predictions.tasks.sweep").count() == 1


class TestOwnTasks:
    """What a worker is given of the tasks that arrive, also of those that a row of a schedule has named."""

    def given(self, **task: Any) -> Any:
        tasks: SimpleQueue[Any] = SimpleQueue()
        tasks.put({"id": "1", "name": "n", "ack_id": 7, "args": (), "kwargs": {}, **task})
        return wake_ups.OwnTasks(tasks).get()

    @pytest.mark.parametrize("function", [*wake_ups.TASKS.values(), wake_ups.SWEEP])
    def test_it_lets_ours_through(self, function: str) -> None:
        assert self.given(func=function, timeout=9)["func"] == function

    @pytest.mark.parametrize(
        "task",
        [
            {"func": "os.system", "args": ("true",)}, {"func": os.getcwd}, {"func": "predictions.tasks.drain"},
            {"func": wake_ups.SWEEP, "args": (1,)}, {"func": wake_ups.SWEEP, "kwargs": {"a": 1}},
            {"func": wake_ups.SWEEP, "hook": "os.system"}, {"func": wake_ups.SWEEP, "chain": [("os.getcwd", (), {})]},
        ],
        ids=str,
    )  # fmt: skip
    def test_it_lets_no_other_through(self, task: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
        given = self.given(save=True, **task)

        assert given == {
            "id": "1", "name": "n", "ack_id": 7, "func": "predictions.queue.wake_ups.do_nothing",
            "args": (), "kwargs": {}, "save": False,
        }  # fmt: skip
        assert "none of ours" in caplog.text

    def test_it_passes_on_the_end(self) -> None:
        tasks: SimpleQueue[Any] = SimpleQueue()
        tasks.put("STOP")

        assert wake_ups.OwnTasks(tasks).get() == "STOP"
