"""What becomes of requests whose model hangs or ends its process in a call of the web process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from predictions.models import Prediction
from predictions.runtime import incidents
from predictions.serving import in_place
from registry.models import Incident, ModelVersion
from registry.models.incident import Kind
from tests import pipelines
from tests.predictions.serving.test_in_place import URL, WAIT, Requests, published
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def requests() -> Requests:
    return Requests()


def test_it_leaves_a_model_that_ends_its_process_to_the_workers(
    api: APIClient, penguins: ModelVersion, penguin: dict[str, Any], save: Callable[..., Path]
) -> None:
    version = published(save(pipelines.misbehaves()), [{"a": 0.0, "b": 0.0}])
    url = "/api/models/other/predict"

    response = api.post(url, {"a": 0.0, "b": 2.0}, headers={"Prefer": "wait=1"})

    assert response.status_code == 202
    assert Prediction.objects.get().attempts == 0
    wait_until(Incident.objects.exists)  # in a second, unless the host was started for this call
    assert [incident.kind for incident in Incident.objects.all()] == [Kind.EXITED]
    assert incidents.standing().not_in_web == {version.pk}
    assert api.post(URL, penguin, headers=WAIT).json()["status"] == "succeeded"


def test_it_notes_a_version_that_hangs_and_answers_others_meanwhile(
    api: APIClient, requests: Requests, penguins: ModelVersion, penguin: dict[str, Any], save: Any, settings: Any
) -> None:
    settings.MLSERVE_BATCH_SECONDS = 2
    version = published(save(pipelines.misbehaves()), [{"a": 0.0, "b": 0.0}])
    api.post(URL, penguin, headers=WAIT)
    requests.post({"a": 60.0, "b": 0.0}, url="/api/models/other/predict", wait=1)
    wait_until(lambda: in_place.shared_calls.seconds_in_call(version.pk) > 0)

    assert api.post(URL, penguin, headers=WAIT).status_code == 200
    wait_until(Incident.objects.exists)
    assert [response.status_code for response in requests.join()] == [202]
    assert [(each.version, each.kind) for each in Incident.objects.all()] == [(version, Kind.HUNG)]


def test_it_notes_a_version_that_hangs_in_the_call_of_a_lone_caller_who_has_left(
    api: APIClient, save: Callable[..., Path], settings: Any
) -> None:
    settings.MLSERVE_BATCH_SECONDS = 2
    version = published(save(pipelines.misbehaves()), [{"a": 0.0, "b": 0.0}])
    url = "/api/models/other/predict"
    assert api.post(url, {"a": 0.0, "b": 0.0}, headers=WAIT).status_code == 200  # it is loaded now

    response = api.post(url, {"a": 60.0, "b": 0.0}, headers={"Prefer": "wait=1"})

    assert response.status_code == 202
    assert in_place.shared_calls.seconds_in_call(version.pk) >= 1
    wait_until(Incident.objects.exists)
    assert Incident.objects.get().kind == Kind.HUNG
    wait_until(lambda: in_place.shared_calls.seconds_in_call(version.pk) == 0)


def test_it_leaves_quarantined_versions_to_the_workers(
    api: APIClient, penguins: ModelVersion, penguin: dict[str, Any]
) -> None:
    incidents.report(penguins, Kind.HUNG, "seen")

    assert api.post(URL, penguin, headers={"Prefer": "wait=1"}).status_code == 202

    Incident.objects.clear(now=timezone.now())
    incidents.forget_all()
    assert api.post(URL, penguin, headers=WAIT).status_code == 200
