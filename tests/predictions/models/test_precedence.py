"""Versions that hang come last, one call of them at a time, and are not forgotten."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from django.utils import timezone

from predictions import tasks
from predictions.batching.backoff import _Pause
from predictions.model_host.errors import ModelEnded
from predictions.models import Prediction
from predictions.queue import heartbeat
from predictions.runtime import incidents, loaded_models
from predictions.status import Status
from predictions.worker import draining
from predictions.worker.claiming import Precedence, claim
from registry.models import Incident, ModelVersion
from registry.models.incident import Kind
from registry.pipelines import calls
from tests.predictions.conftest import Submit

pytestmark = pytest.mark.django_db


@pytest.fixture
def troubled(publish_penguins: Callable[..., Any]) -> ModelVersion:
    """A second model, beside `penguins`, with an open incident."""
    version: ModelVersion = publish_penguins("1.0", model="troubled", is_public=True).version
    incidents.report(version, Kind.HUNG, "seen before")
    return version


def taken(*, holder: str = "me", turn: bool = False) -> list[Any]:
    precedence = Precedence(quarantined=incidents.standing().quarantined)
    batch = claim(holder=holder, now=timezone.now(), precedence=precedence, is_turn_of_quarantined=turn)
    return [prediction.pk for prediction in batch]


def test_it_takes_others_first_although_they_came_later(submit_rows: Submit, troubled: ModelVersion) -> None:
    first, second = submit_rows(version=troubled), submit_rows()

    assert [taken(), taken(), taken()] == [[second.pk], [first.pk], []]


def test_it_takes_them_first_when_it_is_their_turn(submit_rows: Submit, troubled: ModelVersion) -> None:
    submit_rows()
    theirs = submit_rows(version=troubled)

    assert taken(turn=True) == [theirs.pk]


def test_it_lets_one_worker_at_a_time_work_on_them(
    submit_rows: Submit, troubled: ModelVersion, publish_penguins: Callable[..., Any]
) -> None:
    another = publish_penguins("1.0", model="another", is_public=True).version
    incidents.report(another, Kind.CRASHED, "seen before")
    first, second = submit_rows(version=troubled), submit_rows(version=another)

    assert taken(holder="one") == [first.pk]
    assert taken(holder="two", turn=True) == []
    Prediction.objects.requeue_held_by(["one"], now=timezone.now())
    Prediction.objects.filter(pk=first.pk).delete()
    assert taken(holder="two") == [second.pk]


def test_it_takes_several_of_another_version_together(submit_rows: Submit, troubled: ModelVersion) -> None:
    submit_rows(version=troubled)
    others = [submit_rows() for _ in range(3)]

    assert taken() == [other.pk for other in others]


def test_it_takes_them_like_any_other_once_they_are_trusted_again(submit_rows: Submit, troubled: ModelVersion) -> None:
    first, second = submit_rows(version=troubled), submit_rows()
    Incident.objects.clear(now=timezone.now())
    incidents.forget_all()

    assert [taken(), taken()] == [[first.pk], [second.pk]]


def test_it_notes_a_version_that_hung(submit_rows: Submit, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*_: Any, **__: Any) -> Any:
        raise ModelEnded(Kind.HUNG, "It took longer than 60 s for a call.")

    prediction = submit_rows()
    with monkeypatch.context() as patch:
        patch.setattr(loaded_models, "predict", hang)
        assert tasks.drain() == 0

    prediction.refresh_from_db()
    assert (prediction.status, prediction.attempts) == (Status.FAILED, 3)
    incident = Incident.objects.first()
    assert incident is not None
    assert (incident.kind, incident.version, incident.process) == (
        Kind.HUNG,
        prediction.version,
        heartbeat.worker_name(),
    )
    assert prediction.version_id in incidents.standing().quarantined


def test_it_lets_no_prediction_wait_for_ever_under_load(
    submit_rows: Submit, troubled: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit_rows()
    theirs = submit_rows(version=troubled)
    monkeypatch.setattr(draining._State, "next_turn_at", time.monotonic())

    assert [each.pk for each in draining._claim()] == [theirs.pk]


@pytest.mark.parametrize(("seconds", "pause"), [(0.01, 1), (0.5, 4.5), (30, 30)])
def test_it_gives_them_a_tenth_of_the_time_under_load(
    submit_rows: Submit, troubled: ModelVersion, monkeypatch: pytest.MonkeyPatch, seconds: float, pause: float
) -> None:
    """So that what ends its process at once is given up within seconds, and what hangs does not keep the worker."""
    ours, now = [submit_rows() for _ in range(2)], time.monotonic()
    submit_rows(version=troubled)
    monkeypatch.setattr(draining._State, "turn_began_at", now - seconds)
    monkeypatch.setattr(draining._State, "next_turn_at", now)

    assert {each.pk for each in draining._claim()} == {each.pk for each in ours}
    assert draining._State.next_turn_at == pytest.approx(now + pause, abs=0.9 * pause)


def test_it_takes_them_last_although_a_storage_was_unreachable_once(
    submit_rows: Submit,
    troubled: ModelVersion,
    publish_penguins: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A version that was to be loaded while the storage was unreachable, and which was not asked for since."""
    another = publish_penguins("1.0", model="another", is_public=True).version
    loaded_models.unreachable._pauses[another.pk] = _Pause(until=time.monotonic() - 60, seconds=0.5)
    submit_rows(version=troubled)
    other = submit_rows()
    monkeypatch.setattr(draining._State, "next_turn_at", time.monotonic() + 60)

    assert [each.pk for each in draining._claim()] == [other.pk]


def test_it_gives_each_output_what_was_asked_although_a_step_writes_into_its_input(penguins: ModelVersion) -> None:
    """A step that changes its frame must not change what the next call sees."""

    class Writes:
        classes_ = np.array(["a", "b"])

        def predict(self, frame: Any) -> Any:
            frame.loc[:, "year"] = 0
            return frame["year"].to_numpy()

        def predict_proba(self, frame: Any) -> Any:
            return np.array([[float(year), 0.0] for year in frame["year"]])

    rows = [dict.fromkeys((column.name for column in penguins.record_schema.columns), None) | {"year": 2007}]

    answers = calls.run_rows(Writes(), penguins.record_schema, rows, ["predict", "predict_proba"])

    assert answers["predictions"] == [0]
    assert 2007.0 in answers["probabilities"][0].values()
