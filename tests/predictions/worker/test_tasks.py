"""The drain and the sweep, with real pipelines."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from predictions import tasks
from predictions.batching.pace import FIRST_ROWS
from predictions.models import Prediction, Worker
from predictions.queue import heartbeat
from predictions.runtime import loaded_models
from predictions.status import Status
from predictions.worker.claiming import claim
from registry.inspection.version_request import VersionRequest
from registry.models import ModelVersion
from registry.publishing.publish import publish
from tests import pipelines
from tests.predictions.conftest import Submit

pytestmark = pytest.mark.django_db


def published(path: Path, rows: list[dict[str, Any]], name: str = "other") -> ModelVersion:
    sample = path.with_suffix(".json")
    sample.write_text(json.dumps(rows))
    return publish(path, VersionRequest(name, "1", is_public=True, promote=True, sample=sample)).version


def refreshed(*predictions: Prediction) -> list[Prediction]:
    for prediction in predictions:
        prediction.refresh_from_db()
    return list(predictions)


def test_it_gives_each_prediction_what_it_asked_for(submit_rows: Submit, penguin: dict[str, Any]) -> None:
    plain = submit_rows()
    probable = submit_rows([penguin, penguin], outputs=("predict_proba",))

    assert tasks.drain() == 2

    refreshed(plain, probable)
    assert '"probabilities":null' in (plain.result or "")
    assert (probable.result or "").count("Gentoo") == 4  # two labels, two probabilities


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Of the calls, in rows."""
    found: list[int] = []
    predict = loaded_models.predict

    def counted(version: ModelVersion, rows: Any, outputs: Any, **more: Any) -> Any:
        found.append(len(rows))
        return predict(version, rows, outputs, **more)

    monkeypatch.setattr(loaded_models, "predict", counted)
    return found


def test_it_predicts_a_burst_in_few_calls(submit_rows: Submit, sizes: list[int]) -> None:
    for _ in range(600):
        submit_rows()

    assert tasks.drain() == 600
    assert sizes == [FIRST_ROWS, 512, 600 - FIRST_ROWS - 512]


def test_it_calls_a_slow_version_with_what_fits_into_its_time(
    submit_rows: Submit, sizes: list[int], monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.MLSERVE_BATCH_SECONDS = 2
    predict = loaded_models.predict

    def slow(version: ModelVersion, rows: Any, outputs: Any, **more: Any) -> Any:
        time.sleep(0.02 * len(rows))
        return predict(version, rows, outputs, **more)

    monkeypatch.setattr(loaded_models, "predict", slow)
    for _ in range(80):
        submit_rows()

    assert tasks.drain() == 80
    assert sizes[0] == FIRST_ROWS
    assert max(sizes) <= 2 / 0.02 / 4


def test_it_serves_several_versions_one_after_the_other(
    submit_rows: Submit, save: Callable[..., Path], penguins: ModelVersion
) -> None:
    other = published(save(pipelines.several_outputs()), [{"a": 1.0, "b": 0.0}])
    mine, theirs = submit_rows(), submit_rows({"a": 1.0, "b": 2.0}, version=other)

    tasks.drain()

    refreshed(mine, theirs)
    assert (mine.status, theirs.status) == (Status.SUCCEEDED, Status.SUCCEEDED)
    assert json.loads(theirs.result or "")["predictions"] == [pytest.approx([2.0, 4.0])]


def test_it_fails_only_the_prediction_with_the_bad_row(submit_rows: Submit, save: Callable[..., Path]) -> None:
    version = published(save(pipelines.raises_above_100()), [{"a": 1.0, "b": 0.0}])
    good = [submit_rows({"a": float(n), "b": 1.0}, version=version) for n in range(5)]
    bad = submit_rows([{"a": 1.0, "b": 1.0}, {"a": 101.0, "b": 1.0}], version=version)
    alone = submit_rows({"a": 500.0, "b": 1.0}, version=version)

    tasks.drain()

    refreshed(*good, bad, alone)
    assert {each.status for each in good} == {Status.SUCCEEDED}
    assert (bad.status, alone.status) == (Status.FAILED, Status.FAILED)
    assert '"pointer":"#/1"' in (bad.error or "")
    assert "a must not exceed 100" in (alone.error or "")


def test_it_shows_where_it_cut_what_a_model_said(
    submit_rows: Submit, save: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("predictions.runtime.execution._MOST_WORDS", 20)
    version = published(save(pipelines.raises_above_100()), [{"a": 1.0, "b": 0.0}])
    alone = submit_rows({"a": 500.0, "b": 1.0}, version=version)

    tasks.drain()

    refreshed(alone)
    assert "this row: ValueError: a must …" in (alone.error or "")


def test_it_predicts_row_by_row_what_is_not_batchable(submit_rows: Submit, save: Callable[..., Path]) -> None:
    version = published(save(pipelines.not_batchable()), [{"a": 1.0, "b": 0.0}, {"a": 4.0, "b": 1.0}])
    one = submit_rows({"a": 9.0, "b": 1.0}, version=version)
    both = submit_rows([{"a": 9.0, "b": 1.0}, {"a": 1.0, "b": 0.0}], version=version)

    tasks.drain()

    refreshed(one, both)
    assert not version.is_batchable
    answers = [json.loads(each.result or "")["predictions"][0] for each in (one, both)]
    assert answers[0] == answers[1]


def test_it_fails_clearly_when_the_artifact_is_gone(
    submit_rows: Submit, penguins: ModelVersion, tmp_path: Path
) -> None:
    (tmp_path / "artifacts" / penguins.artifact_key).unlink()
    prediction = submit_rows()

    tasks.drain()

    refreshed(prediction)
    assert prediction.status == Status.FAILED
    assert "artifact-unavailable" in (prediction.error or "")


def test_it_refuses_an_artifact_that_was_changed(submit_rows: Submit, penguins: ModelVersion, tmp_path: Path) -> None:
    stored = tmp_path / "artifacts" / penguins.artifact_key
    stored.write_bytes(stored.read_bytes() + b"!")
    prediction = submit_rows()

    tasks.drain()

    refreshed(prediction)
    assert "SHA-256" in (prediction.error or "")


def test_it_requeues_its_rows_when_it_is_interrupted(submit_rows: Submit, monkeypatch: Any) -> None:
    def time_is_up(*_: Any, **__: Any) -> None:
        raise SystemExit("Task exceeded maximum timeout value")

    prediction = submit_rows()
    OrmQ.objects.all().delete()
    monkeypatch.setattr(loaded_models, "predict", time_is_up)

    with pytest.raises(SystemExit):
        tasks.drain()

    refreshed(prediction)
    assert (prediction.status, prediction.attempts, prediction.lease_holder) == (Status.QUEUED, 1, "")
    assert OrmQ.objects.count() == 1  # a worker is called for it


def test_it_asks_for_another_drain_when_its_time_is_up(submit_rows: Submit, settings: Any) -> None:
    settings.MLSERVE_BATCH_ROWS = 1
    submit_rows()
    submit_rows()
    OrmQ.objects.all().delete()

    ended = tasks.drain(deadline=0)

    assert ended == 1
    assert OrmQ.objects.count() == 1


def test_it_warns_of_values_that_training_did_not_see(submit_rows: Submit, penguin: dict[str, Any]) -> None:
    prediction = submit_rows([penguin, {**penguin, "body_mass_g": 8999}])

    tasks.drain()

    refreshed(prediction)
    assert '"row":1,"column":"body_mass_g"' in prediction.warnings
    assert prediction.status == Status.SUCCEEDED


def test_the_sweep_takes_back_what_a_dead_worker_of_this_host_holds(submit_rows: Submit) -> None:
    prediction = submit_rows()
    name = claim_by_dead_worker()

    counts = tasks.sweep()

    refreshed(prediction)
    assert counts["released"] == 1
    assert prediction.status == Status.QUEUED
    assert not Worker.objects.filter(name=name).exists()


def test_the_sweep_leaves_living_workers_alone(submit_rows: Submit) -> None:
    prediction = submit_rows()
    heartbeat.see_this_worker()
    claim(holder=heartbeat.worker_name(), now=timezone.now())

    assert tasks.sweep()["released"] == 0
    refreshed(prediction)
    assert prediction.status == Status.RUNNING


def test_the_sweep_applies_retention(submit_rows: Submit, settings: Any) -> None:
    prediction = submit_rows()
    tasks.drain()
    old = timezone.now() - timedelta(days=settings.MLSERVE_RETENTION_DAYS + 1)
    Prediction.objects.filter(pk=prediction.pk).update(finished_at=old)

    assert tasks.sweep()["deleted"] == 1


def claim_by_dead_worker() -> str:
    """Claim a batch as a worker of this host whose process has ended; its name."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    name = f"{heartbeat.host_name()}:{ended.pid}"
    claim(holder=name, now=timezone.now())
    Worker.objects.create(name=name, host=heartbeat.host_name(), pid=ended.pid, seen_at=timezone.now())
    return name
