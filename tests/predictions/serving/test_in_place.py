"""`Prefer: wait` and the pages: predicted in the web process, in calls that requests share."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, connection
from django.test import Client
from django.utils import timezone
from django_q.models import OrmQ
from rest_framework.test import APIClient

from mlserve.prepared import execute_many
from predictions.models import Prediction
from predictions.runtime import incidents, loaded_models
from predictions.runtime.execution import Work
from predictions.serving import in_place, recording
from predictions.status import Status
from registry.inspection.version_request import VersionRequest
from registry.models import Incident, ModelVersion
from registry.models.incident import Kind
from registry.publishing import lookup
from registry.publishing.publish import publish
from tests import pipelines
from tests.predictions.conftest import Submit
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

URL = "/api/predict"
WAIT = {"Prefer": "wait=20"}


class Slow:
    """Holds the calls of `loaded_models.predict` while `is_held`, and records the size of each."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes: list[int] = []
        self.is_called, self.go = threading.Event(), threading.Event()
        self.go.set()
        self._predict = loaded_models.predict
        monkeypatch.setattr(loaded_models, "predict", self)
        # On a busy machine a test holds a call for longer than the two seconds after which others go to the workers.
        monkeypatch.setattr(in_place, "_LONG_CALL_SECONDS", 60.0)
        monkeypatch.setattr(in_place.shared_calls, "_long_call_seconds", 60.0)

    def __call__(self, version: ModelVersion, rows: Any, outputs: Any, **more: Any) -> Any:
        self.sizes.append(len(rows))
        self.is_called.set()
        assert self.go.wait(20)
        return self._predict(version, rows, outputs, **more)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Any:
    slow = Slow(monkeypatch)
    yield slow
    slow.go.set()


class Requests:
    """Requests at the same time, each in a thread with a connection of its own."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []
        self.responses: list[Any] = []

    def post(self, body: Any, url: str = URL, wait: int = 20) -> None:
        def send() -> None:
            response = APIClient().post(url, body, headers={"Prefer": f"wait={wait}"})
            self.responses.append(response)
            connection.close()

        thread = threading.Thread(target=send)
        thread.start()
        self._threads.append(thread)

    def post_in_line(self, body: Any, **more: Any) -> None:
        """Returns once the request waits in the queue."""
        before = in_place.shared_calls._waiting
        self.post(body, **more)
        wait_until(lambda: in_place.shared_calls._waiting > before)

    def join(self) -> list[Any]:
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()
        return self.responses


@pytest.fixture
def requests() -> Requests:
    return Requests()


def occupy(slow: Slow, requests: Requests, body: Any, **more: Any) -> None:
    """A call runs, and waits for `slow.go`."""
    slow.is_called.clear()
    slow.go.clear()
    requests.post(body, **more)
    assert slow.is_called.wait(20)


def published(path: Path, rows: list[dict[str, Any]], **more: Any) -> ModelVersion:
    sample = path.with_suffix(".json")
    sample.write_text(json.dumps(rows))
    request = VersionRequest("other", "1", sample=sample, is_public=True, promote=True, **more)
    return publish(path, request).version


def test_it_answers_with_what_is_stored(api: APIClient, penguins: ModelVersion, penguin: dict[str, Any]) -> None:
    response = api.post(f"{URL}?outputs=predict_proba", [penguin, penguin], headers=WAIT)

    body = response.json()
    assert response.status_code == 200
    assert body == api.get(body["url"]).json()
    assert (body["status"], body["rows"], len(body["result"]["probabilities"])) == ("succeeded", 2, 2)
    assert body["created_at"] <= body["started_at"] <= body["finished_at"]
    assert not OrmQ.objects.exists()  # no worker was called
    stored = Prediction.objects.get()
    assert (stored.rows, stored.attempts, stored.lease_holder) == ([penguin, penguin], 1, "")


def test_it_shares_a_call_among_requests(
    slow: Slow, requests: Requests, penguins: ModelVersion, penguin: dict[str, Any]
) -> None:
    occupy(slow, requests, penguin)
    for size in (1, 2, 3):
        requests.post_in_line([{**penguin, "year": 2007}] * size)
    slow.go.set()

    bodies = [response.json() for response in requests.join()]
    assert slow.sizes == [1, 6]
    assert sorted(body["rows"] for body in bodies) == [1, 1, 2, 3]
    assert all(len(body["result"]["predictions"]) == body["rows"] for body in bodies)
    assert Prediction.objects.filter(status=Status.SUCCEEDED).count() == 4


def test_it_stores_a_shared_call_in_one_transaction(
    slow: Slow, requests: Requests, penguins: ModelVersion, penguin: dict[str, Any], monkeypatch: Any
) -> None:
    sizes: list[int] = []

    def counted(sql: str, rows: Any) -> None:
        sizes.append(len(rows))
        execute_many(sql, rows)

    monkeypatch.setattr(recording, "execute_many", counted)
    occupy(slow, requests, penguin)
    for _ in range(5):
        requests.post_in_line(penguin)
    slow.go.set()
    requests.join()

    assert sorted(sizes) == [1, 5]


def test_it_stores_the_others_when_the_database_refuses_one(
    slow: Slow, requests: Requests, penguins: ModelVersion, penguin: dict[str, Any]
) -> None:
    """Such as the prediction of a version that was deleted a moment ago."""
    errors: list[Exception] = []

    def predict_what_is_refused() -> None:
        prediction = Prediction(version=penguins, row_count=-1, inputs="[]", created_at=timezone.now())
        try:
            in_place.predict_in_place(prediction, [penguin], timeout_seconds=20)
        except IntegrityError as error:
            errors.append(error)
        connection.close()

    occupy(slow, requests, penguin)
    requests.post_in_line(penguin)
    thread = threading.Thread(target=predict_what_is_refused)
    thread.start()
    wait_until(lambda: in_place.shared_calls._waiting == 2)
    requests.post_in_line(penguin)
    slow.go.set()

    assert [response.status_code for response in requests.join()] == [200, 200, 200]
    thread.join(20)
    assert len(errors) == 1
    assert slow.sizes == [1, 3]
    assert Prediction.objects.filter(status=Status.SUCCEEDED).count() == 3


def test_it_fails_only_the_request_with_the_bad_row(
    slow: Slow, requests: Requests, save: Callable[..., Path], penguins: ModelVersion
) -> None:
    published(save(pipelines.raises_above_100()), [{"a": 1.0, "b": 0.0}])
    url = "/api/models/other/predict"
    occupy(slow, requests, {"a": 1.0, "b": 0.0}, url=url)
    for value in (2.0, 500.0, 3.0):
        requests.post_in_line({"a": value, "b": 0.0}, url=url)
    slow.go.set()

    statuses = sorted(response.json()["status"] for response in requests.join())
    assert statuses == ["failed", "succeeded", "succeeded", "succeeded"]
    assert Prediction.objects.get(status=Status.FAILED).rows == [{"a": 500.0, "b": 0.0}]


def test_it_calls_a_version_that_is_not_batchable_for_one_request_at_a_time(
    slow: Slow, requests: Requests, penguins: ModelVersion, penguin: dict[str, Any]
) -> None:
    ModelVersion.objects.update(is_batchable=False)
    lookup.forget_all()
    occupy(slow, requests, penguin)
    requests.post_in_line(penguin)
    requests.post_in_line([penguin, penguin])
    slow.go.set()
    requests.join()

    assert slow.sizes == [1, 1, 1, 1]


def test_it_leaves_a_request_to_the_workers_when_its_time_runs_out(
    slow: Slow, requests: Requests, penguins: ModelVersion, penguin: dict[str, Any], api: APIClient
) -> None:
    occupy(slow, requests, penguin)
    response = api.post(URL, penguin, headers={"Prefer": "wait=1"})
    slow.go.set()
    requests.join()

    assert response.status_code == 202
    assert response.json()["status"] == "queued"
    assert Prediction.objects.get(pk=response.json()["prediction_id"]).status == Status.QUEUED
    assert OrmQ.objects.count() == 1


def test_it_ends_a_prediction_once_although_its_caller_left_during_the_call(
    slow: Slow, penguins: ModelVersion, penguin: dict[str, Any], api: APIClient
) -> None:
    slow.go.clear()
    response = api.post(URL, penguin, headers={"Prefer": "wait=1"})
    slow.go.set()
    api.post(URL, penguin, headers=WAIT)  # the call before has come to its end

    assert response.status_code == 202
    statuses = Prediction.objects.order_by("pk").values_list("status", flat=True)
    assert list(statuses) == [Status.QUEUED, Status.SUCCEEDED]


def test_it_leaves_a_prediction_alone_until_it_is_settled(
    submit_rows: Submit, penguins: ModelVersion, penguin: dict[str, Any]
) -> None:
    """Its caller may be storing it as queued at that very moment."""
    prediction = submit_rows()
    waiting = in_place._Waiting(prediction, Work(prediction.pk, [penguin], "predict"))

    in_place._call([waiting])

    assert (prediction.status, prediction.result, prediction.finished_at) == (Status.QUEUED, None, None)


def test_it_answers_503_when_too_many_wait(
    slow: Slow, requests: Requests, penguins: ModelVersion, penguin: dict[str, Any], api: APIClient, monkeypatch: Any
) -> None:
    monkeypatch.setattr(in_place.shared_calls, "_most_waiting", 2)
    occupy(slow, requests, penguin)
    requests.post_in_line(penguin)
    requests.post_in_line(penguin)

    response = api.post(URL, penguin, headers=WAIT)
    patient = api.post(URL, penguin)
    slow.go.set()
    requests.join()

    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) >= 1
    assert response.json()["type"].endswith("/problems/overloaded")
    assert patient.status_code == 202  # who does not wait is accepted all the same
    assert Prediction.objects.count() == 4


def test_it_leaves_large_requests_to_the_workers(
    api: APIClient, penguins: ModelVersion, penguin: dict[str, Any], settings: Any
) -> None:
    settings.MLSERVE_CALL_ROWS = 3

    assert api.post(URL, [penguin] * 3, headers={"Prefer": "wait=1"}).status_code == 200
    assert api.post(URL, [penguin] * 4, headers={"Prefer": "wait=1"}).status_code == 202


def test_it_leaves_large_artifacts_to_the_workers(
    api: APIClient, penguins: ModelVersion, penguin: dict[str, Any], settings: Any
) -> None:
    settings.MLSERVE_IN_PLACE_BYTES = penguins.size_bytes - 1

    assert api.post(URL, penguin, headers={"Prefer": "wait=1"}).status_code == 202


def test_it_leaves_requests_to_the_workers_while_a_call_hangs(
    slow: Slow, requests: Requests, penguins: ModelVersion, penguin: dict[str, Any], api: APIClient, settings: Any
) -> None:
    occupy(slow, requests, penguin)
    settings.MLSERVE_BATCH_SECONDS = 0
    started = time.monotonic()
    response = api.post(URL, penguin, headers={"Prefer": "wait=1"})
    slow.go.set()
    requests.join()

    assert response.status_code == 202
    assert time.monotonic() - started < 15


def test_it_answers_503_when_the_result_cannot_be_stored(
    api: APIClient, penguins: ModelVersion, penguin: dict[str, Any], monkeypatch: Any
) -> None:
    from django.db import OperationalError

    def fail(*_: Any) -> None:
        raise OperationalError("disk full")

    monkeypatch.setattr(recording, "execute_many", fail)
    response = api.post(URL, penguin, headers=WAIT)

    assert response.status_code == 503
    assert not Prediction.objects.exists()


def test_it_leaves_a_model_that_ends_its_process_to_the_workers(
    api: APIClient, penguins: ModelVersion, penguin: dict[str, Any], save: Callable[..., Path]
) -> None:
    version = published(save(pipelines.misbehaves()), [{"a": 0.0, "b": 0.0}])
    url = "/api/models/other/predict"

    response = api.post(url, {"a": 0.0, "b": 2.0}, headers={"Prefer": "wait=1"})

    assert response.status_code == 202
    assert Prediction.objects.get().attempts == 0
    wait_until(Incident.objects.exists)  # within a second, unless the host was started for this call
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


def test_it_predicts_for_the_page(client: Client, penguins: ModelVersion, penguin: dict[str, Any]) -> None:
    response = client.post("/models/penguins", penguin, follow=True)

    assert response.status_code == 200
    assert "gentoo penguin" in response.content.decode()
    assert not OrmQ.objects.exists()


def test_it_queues_requests_that_wait_behind_a_long_call(
    slow: Slow, requests: Requests, penguins: ModelVersion, penguin: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    occupy(slow, requests, penguin)
    monkeypatch.setattr(in_place.shared_calls, "_long_call_seconds", 0.1)
    requests.post_in_line(penguin, wait=1)

    wait_until(lambda: Prediction.objects.filter(status=Status.QUEUED).count() == 1)
    slow.go.set()
    assert sorted(response.status_code for response in requests.join()) == [200, 202]
    assert Prediction.objects.count() == 2


def test_it_leaves_quarantined_versions_to_the_workers(
    api: APIClient, penguins: ModelVersion, penguin: dict[str, Any]
) -> None:
    incidents.report(penguins, Kind.HUNG, "seen")

    assert api.post(URL, penguin, headers={"Prefer": "wait=1"}).status_code == 202

    Incident.objects.clear(now=timezone.now())
    incidents.forget_all()
    assert api.post(URL, penguin, headers=WAIT).status_code == 200
