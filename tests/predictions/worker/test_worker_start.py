"""What a worker does before its first task, and that sweeps come one at a time however many workers start."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from django_q.brokers import get_broker
from django_q.models import OrmQ, Schedule
from django_q.scheduler import scheduler

from predictions import tasks
from predictions.models import PendingWakeUp, Prediction
from predictions.queue import wake_ups
from predictions.status import Status
from tests.predictions.conftest import Submit
from tests.predictions.worker.test_tasks import claim_by_dead_worker

pytestmark = pytest.mark.django_db(transaction=True)


def lose_wake_ups() -> None:
    """As when the broker lost its messages, or no worker has run for long."""
    OrmQ.objects.all().delete()
    PendingWakeUp.objects.all().delete()


def test_it_calls_for_what_was_queued_while_no_worker_ran(submit_rows: Submit) -> None:
    submit_rows()
    lose_wake_ups()

    tasks.introduce()

    assert [wake_ups.task_asked_for(each.payload) for each in OrmQ.objects.all()] == ["attend"]
    assert tasks.drain() == 1


def test_it_takes_over_what_a_dead_worker_of_this_host_held(submit_rows: Submit) -> None:
    held = submit_rows()
    claim_by_dead_worker()
    lose_wake_ups()

    tasks.introduce()

    held.refresh_from_db()
    assert held.status == Status.QUEUED
    assert OrmQ.objects.count() == 1


def test_it_begins_without_a_sweep(submit_rows: Submit, settings: Any) -> None:
    overdue = submit_rows()
    long_ago = timezone.now() - timedelta(seconds=settings.MLSERVE_QUEUE_SECONDS + 1)
    Prediction.objects.update(created_at=long_ago)

    tasks.introduce()

    overdue.refresh_from_db()
    assert overdue.status == Status.QUEUED


def test_it_calls_for_one_sweep_however_many_clusters_start(db: None) -> None:
    wake_ups.schedule_sweep()
    Schedule.objects.update(next_run=timezone.now() - timedelta(seconds=1))

    for _ in range(5):
        scheduler(broker=get_broker())

    assert OrmQ.objects.count() == 1
    assert Schedule.objects.get().next_run > timezone.now()


def test_it_sweeps_once_however_many_workers_are_asked_to(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    barrier, swept = threading.Barrier(6), list[int]()
    monkeypatch.setattr(tasks, "sweep_now", lambda: swept.append(1))

    def run() -> None:
        connection.ensure_connection()
        barrier.wait()
        tasks.sweep()
        connection.close()

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert swept == [1]


@pytest.mark.parametrize("seconds", [31, -31], ids=["a minute ago", "by a clock that was ahead"])
def test_it_sweeps_again_after_its_period(seconds: int) -> None:
    assert wake_ups.claim_sweep()
    assert not wake_ups.claim_sweep()

    PendingWakeUp.objects.update(sent_at=timezone.now() - timedelta(seconds=seconds))

    assert wake_ups.claim_sweep()
    assert not wake_ups.claim_sweep()
