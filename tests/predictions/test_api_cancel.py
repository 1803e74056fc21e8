"""POST /api/predict/{id}/cancel."""

import pytest
from rest_framework.test import APIClient

from predictions import tasks
from tests.predictions.conftest import Submit

pytestmark = pytest.mark.django_db


def test_it_cancels_what_is_queued(api: APIClient, submit_rows: Submit) -> None:
    prediction = submit_rows()

    response = api.post(f"/api/predict/{prediction.pk}/cancel")

    assert response.status_code == 200
    assert response.json()["status"] == "canceled"
    assert tasks.drain() == 0


def test_it_answers_409_when_it_has_ended(api: APIClient, submit_rows: Submit) -> None:
    prediction = submit_rows()
    tasks.drain()

    response = api.post(f"/api/predict/{prediction.pk}/cancel")

    assert response.status_code == 409
    assert "succeeded" in response.json()["detail"]


def test_it_answers_404_for_an_unknown_id(api: APIClient, db: None) -> None:
    assert api.post("/api/predict/01936f5e-0000-7000-8000-000000000000/cancel").status_code == 404
