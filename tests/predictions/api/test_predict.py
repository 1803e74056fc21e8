"""POST /api/predict and its longer forms."""

import json
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from predictions import tasks
from predictions.models import Prediction
from predictions.serving import recording
from registry.models import Model, ModelVersion
from tests.predictions.draining_worker import draining_worker

pytestmark = pytest.mark.django_db

URL = "/api/predict"


def post(api: APIClient, body: Any, url: str = URL, **headers: str) -> Any:
    data: Any = body if isinstance(body, bytes) else json.dumps(body)
    return api.generic("POST", url, data, content_type="application/json", headers=headers)


def problem(response: Any) -> dict[str, Any]:
    assert response.headers["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = json.loads(response.content)
    assert body["status"] == response.status_code
    assert body["type"].startswith("http://testserver/problems/")
    return body


@pytest.fixture
def worker(transactional_db: None) -> Iterator[None]:
    with draining_worker():
        yield


def test_it_accepts_a_record(api: APIClient, penguins: ModelVersion, penguin: dict[str, Any]) -> None:
    response = post(api, penguin)

    body = response.json()
    assert response.status_code == 202
    assert set(body) == {"prediction_id", "status", "model", "version", "url"}
    assert (body["status"], body["model"], body["version"]) == ("queued", "penguins", "1.0")
    assert UUID(body["prediction_id"]).version == 7
    assert response.headers["Location"] == body["url"] == f"http://testserver/api/predict/{body['prediction_id']}"
    assert response.headers["Retry-After"] == "1"
    assert response.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("url", ["/api/models/penguins/predict", "/api/models/penguins/versions/1.0/predict"])
def test_it_accepts_a_record_for_a_named_model(
    api: APIClient, penguins: ModelVersion, penguin: dict[str, Any], url: str
) -> None:
    assert post(api, [penguin, penguin], url).status_code == 202
    assert Prediction.objects.get().row_count == 2


def test_it_gives_the_result_by_id(api: APIClient, penguins: ModelVersion, penguin: dict[str, Any]) -> None:
    url = post(api, [penguin], f"{URL}?outputs=predict,predict_proba").json()["url"]
    tasks.drain()

    body = api.get(url).json()

    assert set(body) == {
        "prediction_id", "status", "model", "version", "created_at", "started_at", "finished_at", "rows", "result",
        "warnings", "error", "metrics", "url",
    }  # fmt: skip
    assert body["status"] == "succeeded"
    assert body["rows"] == 1
    assert body["result"]["predictions"] == ["Gentoo"]
    assert set(body["result"]["probabilities"][0]) == {"Adelie", "Chinstrap", "Gentoo"}
    assert sum(body["result"]["probabilities"][0].values()) == pytest.approx(1)
    assert body["metrics"]["queue_seconds"] >= 0
    assert body["metrics"]["predict_seconds"] > 0
    assert body["error"] is None


def test_it_gives_no_probabilities_unless_asked(
    api: APIClient, penguins: ModelVersion, penguin: dict[str, Any]
) -> None:
    url = post(api, penguin).json()["url"]
    tasks.drain()

    assert api.get(url).json()["result"] == {"predictions": ["Gentoo"], "probabilities": None}


def test_it_takes_missing_values(api: APIClient, penguins: ModelVersion) -> None:
    url = post(api, [{"island": "Dream", "year": 2008}, {"island": "Dream", "year": 2008, "sex": None}]).json()["url"]
    tasks.drain()

    predictions = api.get(url).json()["result"]["predictions"]
    assert predictions[0] == predictions[1]


@pytest.mark.django_db(transaction=True)
def test_it_waits_for_the_result_when_preferred(
    api: APIClient, worker: None, penguins: ModelVersion, penguin: dict[str, Any]
) -> None:
    response = post(api, penguin, Prefer="wait=10")

    assert response.status_code == 200
    assert response.json()["status"] == "succeeded"
    assert response.headers["Preference-Applied"] == "wait=10"


def test_it_answers_202_when_the_wait_for_a_worker_runs_out(
    api: APIClient, penguins: ModelVersion, penguin: dict[str, Any], settings: Any
) -> None:
    settings.MLSERVE_IN_PLACE_BYTES = 0
    started = time.monotonic()
    response = post(api, penguin, Prefer="wait=1")

    assert response.status_code == 202
    assert time.monotonic() - started >= 1
    assert "Location" in response.headers


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "empty"),
        (b"island=Biscoe", "not JSON"),
        (b'{"year": NaN}', "NaN"),
        (b'{"year": 1e999}', "too large"),
        (b'{"year": 1, "year": 2}', "duplicate"),
        (b"[" * 5000 + b"]" * 5000, "flat"),
        (b'{"island": "\xff"}', "UTF-8"),
        (b'{"island": "Biscoe"', "EOF"),
    ],
)
def test_it_refuses_what_is_not_json(api: APIClient, penguins: ModelVersion, body: bytes, detail: str) -> None:
    response = post(api, body)

    assert response.status_code == 400
    assert detail in problem(response)["detail"]
    assert not Prediction.objects.exists()


def test_it_lists_every_error_by_pointer(api: APIClient, penguins: ModelVersion, penguin: dict[str, Any]) -> None:
    bad = {**penguin, "bill_length_mm": "long", "island": "Bisco", "colour": "black"}
    del bad["year"]

    response = post(api, [penguin, bad])

    body = problem(response)
    assert response.status_code == 422
    assert {error["pointer"] for error in body["errors"]} == {
        "#/1/bill_length_mm", "#/1/island", "#/1/colour", "#/1/year",
    }  # fmt: skip
    assert body["total_errors"] == 4
    assert "did you mean 'Biscoe'" in json.dumps(body, ensure_ascii=False)


def test_it_points_into_a_single_record_without_a_row(
    api: APIClient, penguins: ModelVersion, penguin: dict[str, Any]
) -> None:
    response = post(api, {**penguin, "bill_length_mm": True})

    assert [error["pointer"] for error in problem(response)["errors"]] == ["#/bill_length_mm"]


@pytest.mark.parametrize("body", [[], 3, "text", None, [[]], [3]])
def test_it_refuses_what_is_no_record(api: APIClient, penguins: ModelVersion, body: Any) -> None:
    assert post(api, body).status_code == 422


def test_it_lists_at_most_100_errors_and_counts_all(api: APIClient, penguins: ModelVersion) -> None:
    body = problem(post(api, [{"colour": 1}] * 300))

    assert len(body["errors"]) == 100
    assert body["total_errors"] == 601  # two columns are missing in each row; the one too much counts once


def test_it_refuses_another_content_type(api: APIClient, penguins: ModelVersion) -> None:
    response = api.generic("POST", URL, "island=Biscoe", content_type="application/x-www-form-urlencoded")

    assert response.status_code == 415
    assert "Content-Type: application/json" in problem(response)["detail"]


def test_it_refuses_a_large_body(api: APIClient, penguins: ModelVersion) -> None:
    response = post(api, b'[{"island": "' + b"x" * (6 * 2**20) + b'"}]')

    assert response.status_code == 413
    assert "MLSERVE_MAX_BODY_BYTES" in problem(response)["detail"]


def test_it_refuses_too_many_rows(api: APIClient, penguins: ModelVersion) -> None:
    response = post(api, b"[" + b"{}," * 99_999 + b"{}]")

    assert response.status_code == 413
    assert "MLSERVE_MAX_ROWS" in problem(response)["detail"]


def test_it_refuses_a_chunked_body(api: APIClient, penguins: ModelVersion) -> None:
    response = post(api, b"", **{"Transfer-Encoding": "chunked"})

    assert response.status_code == 411
    assert problem(response)["detail"]


@pytest.mark.parametrize("outputs", ["nonsense", "predict,transform", ","])
def test_it_refuses_an_output_that_the_model_lacks(
    api: APIClient, penguins: ModelVersion, penguin: dict[str, Any], outputs: str
) -> None:
    response = post(api, penguin, f"{URL}?outputs={outputs}")

    assert response.status_code == 400
    assert "outputs" in problem(response)["detail"]


def test_it_says_when_there_is_no_model_at_all(api: APIClient) -> None:
    assert post(api, {}).status_code == 404


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("/api/models/unknown/predict", 404),
        ("/api/models/penguins/versions/9.9/predict", 404),
        ("/api/models/idle/predict", 422),
    ],
)
def test_it_says_which_model_or_version_is_missing(
    api: APIClient, penguins: ModelVersion, penguin: dict[str, Any], url: str, status: int
) -> None:
    Model.objects.create(name="idle", is_public=True)

    response = post(api, penguin, url)

    assert response.status_code == status
    assert url.split("/")[3] in problem(response)["detail"]


def test_it_hides_a_private_model_from_a_stranger(
    api: APIClient, reader: User, penguins: ModelVersion, penguin: dict[str, Any]
) -> None:
    Model.objects.update(is_public=False)
    url = "/api/models/penguins/predict"

    hidden, absent = problem(post(api, penguin, url)), problem(post(api, penguin, url.replace("penguins", "penguinz")))
    api.force_authenticate(reader)

    assert hidden["detail"].replace("penguins", "") == absent["detail"].replace("penguinz", "")
    assert post(api, penguin, URL).status_code == 202
    assert Prediction.objects.get().owner_id == reader.pk


def test_it_shows_a_prediction_on_a_private_model_only_to_its_owner_and_staff(
    api: APIClient, reader: User, owner: User, penguins: ModelVersion, penguin: dict[str, Any]
) -> None:
    Model.objects.update(is_public=False)
    api.force_authenticate(reader)
    url = post(api, penguin).json()["url"]
    other = User.objects.create_user("other")
    seen = {}

    for name, user in (("reader", reader), ("owner", owner), ("other", other), ("stranger", None)):
        api.force_authenticate(user)
        seen[name] = api.get(url).status_code

    assert seen == {"reader": 200, "owner": 200, "other": 404, "stranger": 404}


def test_it_serves_the_marked_default(api: APIClient, penguins: ModelVersion, penguin: dict[str, Any]) -> None:
    first = Model.objects.create(name="aardvark", is_public=True)
    Model.objects.filter(pk=first.pk).update(is_default=True)

    assert post(api, penguin).status_code == 422  # the default has no live version; nothing else steps in


@pytest.mark.parametrize("address", ["not-a-uuid", "01936f5e-0000-7000-8000-000000000000"])
def test_it_answers_404_for_an_unknown_id(api: APIClient, penguins: ModelVersion, address: str) -> None:
    response = api.get(f"{URL}/{address}")

    assert response.status_code == 404
    assert problem(response)["detail"]


def test_it_answers_503_when_the_database_is_down(
    api: APIClient, penguins: ModelVersion, penguin: dict[str, Any], monkeypatch: Any
) -> None:
    from django.db import OperationalError

    def fail(*_: Any, **__: Any) -> None:
        raise OperationalError("database is locked")

    monkeypatch.setattr(recording, "execute_many", fail)
    response = post(api, penguin)

    assert response.status_code == 503
    assert response.headers["Retry-After"]
    assert "locked" not in problem(response)["detail"]
