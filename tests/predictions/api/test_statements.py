"""How many statements each path sends to the database: exact numbers, so that one more is noticed.

Each statement of a small request costs about as much as everything else that the request needs, besides the model.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from predictions import tasks
from predictions.batching.pace import Paces
from predictions.queue import wake_ups
from predictions.worker import draining
from registry.models import ModelVersion
from tests.predictions.conftest import Submit

pytestmark = pytest.mark.django_db(transaction=True)

URL = "/api/models/penguins/predict"


@pytest.fixture(autouse=True)
def listener(db: None) -> Iterator[None]:
    """As in a running service: a worker of the host listens, so that no wake-up is written into the database."""
    assert wake_ups.listener_socket().listen()
    yield
    wake_ups.listener_socket().close()


def statements(path: Callable[[], Any]) -> list[str]:
    """Those of its second run: the first one loads the model, and looks for what is known then."""
    path()
    with CaptureQueriesContext(connection) as captured:
        path()
    return [" ".join(query["sql"].split()[:2]) for query in captured.captured_queries]


def test_it_looks_up_the_version_and_stores_the_answer(
    api: APIClient, penguins: ModelVersion, penguin: dict[str, Any]
) -> None:
    def predict() -> None:
        assert api.post(URL, penguin, headers={"Prefer": "wait=20"}).status_code == 200

    assert statements(predict) == ['SELECT "registry_modelversion"."id"', "INSERT INTO"]


def test_it_looks_up_the_version_and_stores_the_request(
    api: APIClient, penguins: ModelVersion, penguin: dict[str, Any]
) -> None:
    def submit() -> None:
        assert api.post(URL, penguin).status_code == 202

    assert statements(submit) == ['SELECT "registry_modelversion"."id"', "INSERT INTO"]


def test_it_reads_a_prediction_at_once(api: APIClient, submit_rows: Submit) -> None:
    prediction = submit_rows()

    def read() -> None:
        assert api.get(f"/api/predict/{prediction.pk}").status_code == 200

    assert statements(read) == ['SELECT "predictions_prediction"."id"']


def test_it_claims_and_finishes_a_batch_and_looks_for_more(
    submit_rows: Submit, penguins: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's longer way has no way to a server in it, and no flush."""

    def drain() -> None:
        assert tasks.drain() == 3

    for _ in range(3):
        submit_rows()
    drain()
    # A version that is known to be quick: beside a slow one, the worker looks whether another one has something to do.
    monkeypatch.setattr(draining, "paces", Paces())
    draining.paces.record(penguins.pk, rows=1000, seconds=0.01, call_seconds=0.01)
    for _ in range(3):
        submit_rows()
    with CaptureQueriesContext(connection) as captured:
        drain()

    assert len(captured) == (4 if connection.vendor == "postgresql" else 9)
