"""Which requests of a slow version a web process keeps to itself."""

import threading
import time
from typing import Any

import pytest
from django.db import connection
from django_q.models import OrmQ
from rest_framework.test import APIClient

from predictions.models import Prediction
from predictions.runtime import loaded_models
from predictions.worker.draining import drain
from registry.models import ModelVersion
from tests.predictions.serving.test_in_place import URL, WAIT
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def test_it_leaves_to_workers_what_would_take_too_long(
    penguins: ModelVersion, penguin: dict[str, Any], monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    """A slow version would be taken for one that hangs, if one call had as many rows as may be."""
    settings.MLSERVE_BATCH_SECONDS = 4
    predict, api, sizes = loaded_models.predict, APIClient(), list[int]()

    def slow(version: ModelVersion, rows: Any, outputs: Any, **more: Any) -> Any:
        sizes.append(len(rows))
        time.sleep(0.1 * len(rows))
        return predict(version, rows, outputs, **more)

    monkeypatch.setattr(loaded_models, "predict", slow)
    few = api.post(URL, [penguin] * 2, headers=WAIT)
    many = api.post(URL, [penguin] * 50, headers={"Prefer": "wait=1"})

    assert (few.status_code, few.json()["status"]) == (200, "succeeded")
    assert (many.status_code, many.json()["status"]) == (202, "queued")
    assert sizes == [2]


def test_it_learns_from_a_worker_what_it_can_predict_itself(
    penguins: ModelVersion, penguin: dict[str, Any], settings: Any
) -> None:
    """A client that sends large requests only would be served by way of the queue for ever."""
    settings.MLSERVE_BATCH_ROWS = 3

    def work() -> None:
        wait_until(Prediction.objects.queued().exists)
        drain()
        connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    first = APIClient().post(URL, [penguin] * 20, headers=WAIT)
    worker.join(20)
    second = APIClient().post(URL, [penguin] * 20, headers=WAIT)

    assert (first.json()["status"], second.json()["status"]) == ("succeeded", "succeeded")
    assert OrmQ.objects.count() <= 1  # the call for the first one; nobody drains for the second
