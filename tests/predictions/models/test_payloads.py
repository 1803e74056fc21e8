"""Large inputs and results: in the artifact storage instead of the row."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock
from uuid import uuid4

import pytest
from django.core.files.storage import storages
from django.utils import timezone
from rest_framework.test import APIClient

from mlserve.errors import PayloadLost, Unavailable
from predictions import tasks
from predictions.models import Prediction, payloads
from predictions.status import Status
from registry.models import ModelVersion
from registry.storage import artifacts
from tests.predictions.conftest import Submit

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["disk", "s3"])
def small_rows(request: pytest.FixtureRequest, settings: Any) -> None:
    """Nothing fits into a row, with either storage."""
    if request.param == "s3":
        request.getfixturevalue("artifacts_in_s3")
    settings.MLSERVE_ROW_BYTES = 10


def stored_keys() -> list[str]:
    """Every file of the local storage."""
    root = Path(storages["artifacts"].path(""))
    return [str(path.relative_to(root)) for path in root.glob("predictions/**/*") if path.is_file()]


def test_it_leaves_small_ones_in_the_row(submit_rows: Submit, penguin: dict[str, Any]) -> None:
    prediction = submit_rows()

    prediction.refresh_from_db()
    assert json.loads(prediction.inputs) == [penguin]
    assert stored_keys() == []


def test_it_gives_large_ones_back(
    small_rows: None, submit_rows: Submit, api: APIClient, penguin: dict[str, Any]
) -> None:
    prediction = submit_rows([penguin, penguin])
    tasks.drain()

    prediction.refresh_from_db()
    assert prediction.inputs.startswith(payloads.REFERENCE)
    assert (prediction.result or "").startswith(payloads.REFERENCE)
    assert prediction.rows == [penguin, penguin]
    answer = api.get(f"/api/predict/{prediction.pk}").json()
    assert answer["result"] == {"predictions": ["Gentoo", "Gentoo"], "probabilities": None}


@pytest.mark.django_db(transaction=True)
def test_it_stores_large_ones_of_waiting_callers_elsewhere_too(
    settings: Any, api: APIClient, penguins: ModelVersion, penguin: dict[str, Any]
) -> None:
    settings.MLSERVE_ROW_BYTES = 10

    answer = api.post("/api/predict", [penguin] * 3, headers={"Prefer": "wait=10"})

    assert answer.json()["result"]["predictions"] == ["Gentoo"] * 3
    assert (Prediction.objects.get().result or "").startswith(payloads.REFERENCE)


def test_it_shows_them_on_the_page(settings: Any, submit_rows: Submit, client: Any) -> None:
    settings.MLSERVE_ROW_BYTES = 10
    prediction = submit_rows()
    tasks.drain()

    page = client.get(f"/predictions/{prediction.pk}").content.decode()

    assert "entoo" in page  # the form's own label for the class
    assert "Biscoe" in page


def test_it_deletes_them_with_their_row(settings: Any, submit_rows: Submit) -> None:
    settings.MLSERVE_ROW_BYTES = 10
    submit_rows()
    tasks.drain()
    assert len(stored_keys()) == 2
    Prediction.objects.update(finished_at=timezone.now() - timedelta(days=40))
    Prediction.objects.update(created_at=timezone.now() - timedelta(days=40))

    assert Prediction.objects.delete_ended_before(timezone.now() - timedelta(days=30)) == 1
    assert stored_keys() == []


def test_it_keeps_a_row_whose_object_cannot_be_deleted(
    settings: Any, submit_rows: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its row the object would be found no more, and personal data would stay for ever."""
    settings.MLSERVE_ROW_BYTES = 100
    large = submit_rows()
    settings.MLSERVE_ROW_BYTES = 10_000
    submit_rows()
    Prediction.objects.update(**dict.fromkeys(("created_at", "finished_at"), timezone.now()), status="canceled")
    with monkeypatch.context() as unreachable:
        unreachable.setattr(artifacts, "remove_or_raise", Mock(side_effect=Unavailable("The storage is unreachable.")))
        assert Prediction.objects.delete_ended_before(timezone.now()) == 1

    assert Prediction.objects.get() == large
    assert Prediction.objects.delete_ended_before(timezone.now()) == 1
    with pytest.raises(PayloadLost):
        payloads.fetch(large.inputs)


def test_it_accepts_nothing_when_the_storage_is_gone(
    settings: Any, tmp_path: Path, api: APIClient, penguins: ModelVersion, penguin: dict[str, Any]
) -> None:
    settings.MLSERVE_ROW_BYTES = 10
    root = Path(storages["artifacts"].path(""))
    (root / "predictions").write_text("a file where a folder should be")

    response = api.post("/api/predict", penguin)

    assert response.status_code == 503
    assert response.headers["Retry-After"]
    assert not Prediction.objects.exists()


def test_it_says_when_one_is_gone(settings: Any, submit_rows: Submit, api: APIClient) -> None:
    settings.MLSERVE_ROW_BYTES = 10
    prediction = submit_rows()
    tasks.drain()
    payloads.discard([Prediction.objects.get().result])

    assert api.get(f"/api/predict/{prediction.pk}").status_code == 503


def test_it_discards_what_is_gone_already() -> None:
    payloads.discard([None, "[]", f"{payloads.REFERENCE}predictions/nothing.json"])


def test_it_never_overwrites_an_earlier_one(settings: Any, penguins: ModelVersion) -> None:
    settings.MLSERVE_ROW_BYTES = 3
    first, second = (payloads.inline_or_store(text, uuid4(), "result") for text in (b"[1, 2]", b"[3, 4]"))

    assert (payloads.fetch(first), payloads.fetch(second)) == (b"[1, 2]", b"[3, 4]")


def test_it_refuses_to_fetch_what_is_not_there(penguins: ModelVersion) -> None:
    with pytest.raises(PayloadLost, match="storage"):
        payloads.fetch(f"{payloads.REFERENCE}predictions/nothing.json")


def test_it_fails_no_neighbour_of_a_large_one(settings: Any, submit_rows: Submit, penguin: dict[str, Any]) -> None:
    settings.MLSERVE_ROW_BYTES = 400
    submit_rows()
    submit_rows([penguin] * 20)

    tasks.drain()

    assert set(Prediction.objects.values_list("status", flat=True)) == {Status.SUCCEEDED}
