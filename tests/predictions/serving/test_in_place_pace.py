"""Which requests of a slow version a web process keeps to itself."""

import time
from typing import Any

import pytest
from rest_framework.test import APIClient

from predictions.runtime import loaded_models
from registry.models import ModelVersion
from tests.predictions.serving.test_in_place import URL, WAIT

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
