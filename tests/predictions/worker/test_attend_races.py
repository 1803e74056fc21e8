"""Submissions while a worker starts or stops listening, leaves or is interrupted: none is left waiting."""

import random
import threading
import time
from typing import Any

import pytest
from django.db import connection
from django_q.models import OrmQ

from predictions import tasks
from predictions.models import Prediction
from predictions.queue import wake_ups
from predictions.queue.local_socket import LocalWakeUpSocket
from predictions.runtime import loaded_models
from predictions.status import Status
from predictions.worker import wake_up_listener
from predictions.worker.wake_up_listener import WakeUpListener
from tests.predictions.conftest import Submit
from tests.predictions.listening_worker import PATIENCE_SECONDS, all_have_ended
from tests.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("fresh_worker_state")]


def test_it_is_woken_although_it_stopped_listening_as_the_call_ended(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that watches closes the socket; it must not do so while its worker waits for it again."""
    monkeypatch.setattr(wake_up_listener, "_LONG_SECONDS", 0.02)
    is_closing, close = threading.Event(), LocalWakeUpSocket.close
    worker_thread = threading.current_thread()

    def close_slowly(wake_up_socket: LocalWakeUpSocket) -> None:
        if threading.current_thread() is not worker_thread:  # but the one that watches
            is_closing.set()
            time.sleep(0.1)
        close(wake_up_socket)

    monkeypatch.setattr(LocalWakeUpSocket, "close", close_slowly)
    with WakeUpListener() as listener:
        with listener.call():
            assert is_closing.wait(PATIENCE_SECONDS)
        assert listener.wait(PATIENCE_SECONDS)  # to look for what came meanwhile
        threading.Timer(0.3, wake_ups.listener_socket().send).start()
        assert listener.wait(2)


def test_it_looks_for_what_came_while_it_did_not_listen(submit_rows: Submit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another worker was called for it, but perhaps there is no other, or it is busy."""
    listen, listened, waited = LocalWakeUpSocket.listen, [0], []

    def submit_and_listen(wake_up_socket: LocalWakeUpSocket) -> bool:
        listened[0] += 1
        if listened[0] == 2:
            submit_rows()
        return listen(wake_up_socket)

    def leave(_socket: LocalWakeUpSocket, _timeout_seconds: float) -> bool:
        waited.append(all_have_ended())
        return False

    monkeypatch.setattr(LocalWakeUpSocket, "listen", submit_and_listen)
    monkeypatch.setattr(LocalWakeUpSocket, "wait", leave)
    submit_rows()  # of an unknown version, for which it stops listening

    assert tasks.attend() == 2
    assert waited == [True]


def test_it_finds_what_was_submitted_between_the_last_look_and_the_end_of_listening(
    submit_rows: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The submission woke the listener, so no other worker was called for it."""

    def submit_as_the_time_runs_out(_socket: LocalWakeUpSocket, _timeout_seconds: float) -> bool:
        submit_rows()
        assert not OrmQ.objects.exists()
        return False

    monkeypatch.setattr(LocalWakeUpSocket, "wait", submit_as_the_time_runs_out)

    assert tasks.attend() == 1
    assert all_have_ended()


def test_it_finds_what_was_submitted_as_it_was_dismissed(submit_rows: Submit, monkeypatch: pytest.MonkeyPatch) -> None:
    wait = LocalWakeUpSocket.wait

    def be_dismissed(wake_up_socket: LocalWakeUpSocket, timeout_seconds: float) -> bool:
        wake_up_socket.dismiss()
        submit_rows()
        assert not OrmQ.objects.exists()
        return wait(wake_up_socket, timeout_seconds)

    monkeypatch.setattr(LocalWakeUpSocket, "wait", be_dismissed)

    assert tasks.attend() == 1


def test_it_has_a_worker_called_for_what_was_submitted_after_it_left(
    submit_rows: Submit, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.MLSERVE_DRAIN_SECONDS = 0.01
    close = LocalWakeUpSocket.close

    def close_and_submit(wake_up_socket: LocalWakeUpSocket) -> None:
        close(wake_up_socket)
        if not Prediction.objects.exists():
            submit_rows()

    monkeypatch.setattr(LocalWakeUpSocket, "close", close_and_submit)

    assert tasks.attend() == 0  # its time is up
    assert OrmQ.objects.count() == 1
    assert tasks.attend() == 1  # the next worker


def test_it_has_a_worker_called_for_what_was_submitted_before_it_listened(
    submit_rows: Submit, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.MLSERVE_DRAIN_SECONDS = 0.05
    listen = LocalWakeUpSocket.listen

    def submit_and_listen(wake_up_socket: LocalWakeUpSocket) -> bool:
        if not Prediction.objects.exists():
            submit_rows()
        return listen(wake_up_socket)

    monkeypatch.setattr(LocalWakeUpSocket, "listen", submit_and_listen)

    assert tasks.attend() == 1
    assert OrmQ.objects.count() == 1


def test_it_stops_listening_when_it_is_interrupted(submit_rows: Submit, monkeypatch: pytest.MonkeyPatch) -> None:
    def time_is_up(*_: Any, **__: Any) -> None:
        raise SystemExit("Task exceeded maximum timeout value")

    prediction = submit_rows()
    OrmQ.objects.all().delete()
    wake_ups.clear_pending_wake_up()
    monkeypatch.setattr(loaded_models, "predict", time_is_up)

    with pytest.raises(SystemExit):
        tasks.attend()

    prediction.refresh_from_db()
    assert prediction.status == Status.QUEUED
    assert OrmQ.objects.count() == 1
    assert not wake_ups.listener_socket().send()
    assert not [thread for thread in threading.enumerate() if thread.name == "wake-up-listener"]


@pytest.mark.parametrize("seed", range(2))
def test_it_leaves_nothing_waiting_however_workers_come_and_go(
    submit_rows: Submit, monkeypatch: pytest.MonkeyPatch, settings: Any, seed: int
) -> None:
    """Two workers, which listen for moments and come back only when there is a task for them; no sweep helps."""
    settings.MLSERVE_DRAIN_SECONDS, settings.MLSERVE_BATCH_ROWS = 0.03, 3
    sockets = threading.local()
    path_name = wake_ups.listener_socket()._path.name  # the same place for each thread's own object

    def own_socket() -> LocalWakeUpSocket:
        if not hasattr(sockets, "wake_up_socket"):
            sockets.wake_up_socket = LocalWakeUpSocket(f"{wake_ups._queue_name()} attending")
            assert sockets.wake_up_socket._path.name == path_name
        wake_up_socket: LocalWakeUpSocket = sockets.wake_up_socket
        return wake_up_socket

    monkeypatch.setattr(wake_ups, "listener_socket", own_socket)
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
