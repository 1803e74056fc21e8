"""An unreachable storage, database or queue is no fault of a prediction: it waits, without having used an attempt."""

import dataclasses
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import IntegrityError, OperationalError
from django.utils import timezone
from django_q.exceptions import TimeoutException
from django_q.models import OrmQ
from rest_framework.test import APIClient

from mlserve.errors import Overloaded
from predictions import tasks
from predictions.model_host.errors import ModelEnded
from predictions.models import Prediction, payloads
from predictions.models.completion import Completion, finish_sql
from predictions.queue import heartbeat, wake_ups
from predictions.runtime import loaded_models
from predictions.serving import submission
from predictions.status import Status
from predictions.worker import draining
from predictions.worker.claiming import claim
from registry.models import Incident, ModelVersion
from registry.models.incident import Kind
from registry.storage import artifacts
from tests.predictions.conftest import Submit

pytestmark = pytest.mark.django_db


@contextmanager
def unreachable_storage(folder: Path) -> Iterator[None]:
    (folder / "artifacts").rename(folder / "moved")
    try:
        yield
    finally:
        (folder / "moved").rename(folder / "artifacts")


def state_of(prediction: Prediction) -> tuple[str, int, str]:
    prediction.refresh_from_db()
    return prediction.status, prediction.attempts, prediction.lease_holder


def end_pauses() -> None:
    """As if their time had passed."""
    for backoff in (loaded_models.unreachable, payloads.unreachable):
        for key, pause in backoff._pauses.items():
            backoff._pauses[key] = dataclasses.replace(pause, until=0.0)  # type: ignore[index]


def stored_payloads() -> list[Path]:
    root = Path(artifacts._storage().path(""))  # type: ignore[attr-defined]
    return [path for path in root.glob("predictions/**/*") if path.is_file()]


def time_is_up(*_: Any, **__: Any) -> None:
    """As django-q2's alarm interrupts a worker."""
    raise TimeoutException("Task exceeded maximum timeout value")


def test_it_waits_for_an_artifact_whose_storage_is_unreachable(submit_rows: Submit, tmp_path: Path) -> None:
    prediction = submit_rows()

    with unreachable_storage(tmp_path):
        for _ in range(5):  # more often than it has attempts
            assert tasks.drain() == 0
            end_pauses()
        assert state_of(prediction) == (Status.QUEUED, 0, "")

    assert tasks.drain() == 1
    assert state_of(prediction)[0] == Status.SUCCEEDED


def test_it_pauses_between_two_tries(submit_rows: Submit, tmp_path: Path) -> None:
    prediction = submit_rows()
    with unreachable_storage(tmp_path):
        tasks.drain()

    assert tasks.drain() == 0  # not yet
    assert 0 < (draining.seconds_to_next_try() or 0) < 1
    end_pauses()
    assert tasks.drain() == 1
    assert (state_of(prediction)[0], draining.seconds_to_next_try()) == (Status.SUCCEEDED, None)


def test_it_predicts_others_meanwhile(
    submit_rows: Submit, publish_penguins: Any, penguins: ModelVersion, tmp_path: Path, penguin: dict[str, Any]
) -> None:
    other = publish_penguins("2.0", model="other", is_public=True).version
    ModelVersion.objects.filter(pk=other.pk).update(sha256="0" * 64)
    other.refresh_from_db()
    loaded_models.unreachable.begin(other.pk)
    waiting = submit_rows(version=other)
    mine = submit_rows()

    assert tasks.drain() == 1
    assert (state_of(mine)[0], state_of(waiting)[0]) == (Status.SUCCEEDED, Status.QUEUED)


def test_it_stays_until_the_storage_is_back(submit_rows: Submit, tmp_path: Path, settings: Any) -> None:
    """No sweep and no further call is needed."""
    settings.MLSERVE_DRAIN_SECONDS = 10
    prediction = submit_rows()
    (tmp_path / "artifacts").rename(tmp_path / "moved")
    wait, waits = tasks._waits, []

    def back_after_a_while(*arguments: Any) -> bool:
        waits.append(draining.seconds_to_next_try())
        if len(waits) == 2:
            (tmp_path / "moved").rename(tmp_path / "artifacts")
        if len(waits) > 2 and state_of(prediction)[0] == Status.SUCCEEDED:
            return False
        return wait(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks, "_waits", back_after_a_while)
        assert tasks.attend() == 1


def test_it_calls_a_worker_when_it_leaves_before_the_storage_is_back(
    submit_rows: Submit, tmp_path: Path, settings: Any
) -> None:
    settings.MLSERVE_DRAIN_SECONDS = 0
    submit_rows()
    OrmQ.objects.all().delete()

    with unreachable_storage(tmp_path):
        tasks.attend()

    assert OrmQ.objects.count() == 1


def test_it_predicts_the_neighbours_of_what_cannot_be_read(
    submit_rows: Submit, penguin: dict[str, Any], settings: Any, tmp_path: Path
) -> None:
    settings.MLSERVE_ROW_BYTES = 400
    small, large = submit_rows(), submit_rows([penguin] * 20)
    loaded_models.load(small.version)

    with unreachable_storage(tmp_path):
        assert tasks.drain() == 1
        assert (state_of(small)[0], state_of(large)) == (Status.SUCCEEDED, (Status.QUEUED, 0, ""))
    end_pauses()
    assert tasks.drain() == 1


def test_it_fails_what_can_never_be_read(submit_rows: Submit, settings: Any) -> None:
    settings.MLSERVE_ROW_BYTES = 10
    prediction = submit_rows()
    for path in stored_payloads():
        path.unlink()

    assert tasks.drain() == 1
    assert state_of(prediction)[0] == Status.FAILED
    assert "payload-lost" in (prediction.error or "")


def test_it_keeps_a_large_result_in_the_row_when_the_storage_does_not_take_it(
    submit_rows: Submit, penguin: dict[str, Any], settings: Any, tmp_path: Path
) -> None:
    prediction = submit_rows([penguin] * 20)
    loaded_models.load(prediction.version)
    settings.MLSERVE_ROW_BYTES = 10

    with unreachable_storage(tmp_path):
        assert tasks.drain() == 1

    assert state_of(prediction)[0] == Status.SUCCEEDED
    assert (prediction.result or "").count("Gentoo") == 20


def test_it_blames_no_prediction_for_a_time_limit_that_ends_a_fetch(
    submit_rows: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    prediction = submit_rows()
    monkeypatch.setattr(loaded_models, "load", time_is_up)

    with pytest.raises(TimeoutException):
        tasks.drain()

    assert state_of(prediction) == (Status.QUEUED, 0, "")
    assert not Incident.objects.exists()


def test_it_blames_a_version_whose_process_ends_while_it_loads(
    submit_rows: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    prediction = submit_rows()

    def crash(*_: Any, **__: Any) -> None:
        raise ModelEnded(Kind.CRASHED, "Its process crashed while it was loaded (SIGSEGV).")

    with monkeypatch.context() as patch:
        patch.setattr(loaded_models, "load", crash)
        assert tasks.drain() == 0

    assert state_of(prediction) == (Status.FAILED, 3, "")
    assert {incident.kind for incident in Incident.objects.all()} == {Kind.CRASHED}


def test_it_blames_no_prediction_for_a_time_limit_while_results_wait(
    submit_rows: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*_: Any, **__: Any) -> int:
        raise OperationalError("database is locked")

    def time_is_up(_: float) -> None:
        raise TimeoutException("Task exceeded maximum timeout value")

    prediction = submit_rows()
    monkeypatch.setattr(type(Prediction.objects.all()), "finish", locked)
    monkeypatch.setattr(time, "sleep", time_is_up)

    with pytest.raises(TimeoutException):
        tasks.drain()

    assert state_of(prediction) == (Status.QUEUED, 0, "")


def test_it_finishes_once_the_database_is_back(submit_rows: Submit, monkeypatch: pytest.MonkeyPatch) -> None:
    prediction, tries = submit_rows(), list[int]()
    finish = type(Prediction.objects.all()).finish

    def sometimes(self: Any, *arguments: Any, **named: Any) -> int:
        tries.append(1)
        if len(tries) < 3:
            raise OperationalError("database is locked")
        return finish(self, *arguments, **named)

    monkeypatch.setattr(type(Prediction.objects.all()), "finish", sometimes)
    monkeypatch.setattr(draining, "_PAUSE_SECONDS", 0.01)

    assert tasks.drain() == 1
    assert state_of(prediction)[:2] == (Status.SUCCEEDED, 1)


def test_it_stores_a_large_result_once_however_long_the_database_is_unreachable(
    submit_rows: Submit, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    prediction, tries, sql = submit_rows(), list[int](), finish_sql
    settings.MLSERVE_ROW_BYTES = 10

    def sometimes(*arguments: Any, **named: Any) -> str:
        tries.append(1)
        if len(tries) < 3:
            raise OperationalError("connection refused")
        return sql(*arguments, **named)

    monkeypatch.setattr("predictions.models.prediction.finish_sql", sometimes)
    monkeypatch.setattr(draining, "_PAUSE_SECONDS", 0.01)

    assert tasks.drain() == 1
    assert state_of(prediction)[0] == Status.SUCCEEDED
    assert len(stored_payloads()) == 1


def test_it_requeues_later_what_it_could_not_requeue(
    submit_rows: Submit, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    prediction = submit_rows()

    def fail(*_: Any, **__: Any) -> Any:
        raise OperationalError("server closed the connection")

    with monkeypatch.context() as patch, caplog.at_level(logging.CRITICAL):
        patch.setattr(draining, "execute", fail)
        patch.setattr(type(Prediction.objects.all()), "requeue_without_attempt", fail)
        with pytest.raises(OperationalError):
            tasks.drain()
    assert state_of(prediction)[0] == Status.RUNNING

    assert tasks.drain() == 1
    assert state_of(prediction)[:2] == (Status.SUCCEEDED, 1)


def test_it_waits_for_an_unreachable_database(submit_rows: Submit, monkeypatch: pytest.MonkeyPatch) -> None:
    submit_rows()
    OrmQ.objects.all().delete()
    clear, tries = wake_ups.clear_pending_wake_up, list[int]()

    def sometimes() -> None:
        tries.append(1)
        if len(tries) < 4:
            raise OperationalError("connection refused")
        clear()

    monkeypatch.setattr(wake_ups, "clear_pending_wake_up", sometimes)
    monkeypatch.setattr(tasks, "close_old_connections", lambda: None)  # this test's own transaction
    monkeypatch.setattr(tasks, "_PAUSE_SECONDS", 0.01)

    assert tasks.attend() == 0
    assert OrmQ.objects.count() == 1  # a task of its own follows


@pytest.mark.django_db(transaction=True)
def test_it_queues_what_cannot_be_predicted_in_place(
    api: APIClient, penguins: ModelVersion, penguin: dict[str, Any], tmp_path: Path
) -> None:
    with unreachable_storage(tmp_path):
        response = api.post("/api/predict", penguin, headers={"Prefer": "wait=1"})

    assert response.status_code == 202
    assert Prediction.objects.get().status == Status.QUEUED


@pytest.mark.parametrize("error", [Overloaded("full"), IntegrityError("no such owner")])
def test_it_leaves_no_object_of_what_it_refused(
    penguins: ModelVersion, penguin: dict[str, Any], settings: Any, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(*_: Any) -> None:
        raise error

    settings.MLSERVE_ROW_BYTES = 10
    monkeypatch.setattr(submission, "record", refuse)

    with pytest.raises(type(error)):
        submission.submit(penguins, penguin, outputs=["predict"], user=AnonymousUser())

    assert stored_payloads() == []


def test_it_leaves_no_object_of_a_result_that_came_too_late(submit_rows: Submit, settings: Any) -> None:
    prediction = submit_rows()
    claim(holder=heartbeat.worker_name(), now=timezone.now())
    Prediction.objects.requeue_held_by([heartbeat.worker_name()], now=timezone.now())
    settings.MLSERVE_ROW_BYTES = 10

    late = Completion(prediction.pk, result={"predictions": ["Gentoo"], "probabilities": None})
    assert Prediction.objects.finish([late], holder=heartbeat.worker_name(), now=timezone.now()) == 0

    assert stored_payloads() == []
    assert state_of(prediction)[0] == Status.QUEUED
