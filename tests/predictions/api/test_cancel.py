"""POST /api/predict/{id}/cancel."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from rest_framework.test import APIClient

from predictions import tasks
from predictions.models import Prediction
from predictions.serving.submission import submit
from registry.models import ModelVersion
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


@pytest.fixture
def owners(penguins: ModelVersion, penguin: dict[str, Any], reader: User) -> Prediction:
    """A reader's, on a public model: any caller that has its id may read it."""
    return submit(penguins, penguin, outputs=["predict"], user=reader)


def test_it_lets_the_owner_cancel(api: APIClient, owners: Prediction, reader: User) -> None:
    api.force_authenticate(reader)

    assert api.post(f"/api/predict/{owners.pk}/cancel").status_code == 200
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize(("who", "status"), [(None, 401), ("plain", 403), ("staff", 403)])
def test_it_cancels_no_prediction_of_others(api: APIClient, owners: Prediction, who: str | None, status: int) -> None:
    if who:
        api.force_authenticate(User.objects.create_user(who, is_staff=who == "staff"))

    assert api.get(f"/api/predict/{owners.pk}").status_code == 200
    assert api.post(f"/api/predict/{owners.pk}/cancel").status_code == status
    assert Prediction.objects.get().status == "queued"


def test_it_notes_who_canceled_what_others_asked(api: APIClient, owners: Prediction) -> None:
    clerk = User.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.add(Permission.objects.get(codename="change_prediction"))
    api.force_authenticate(clerk)

    assert api.post(f"/api/predict/{owners.pk}/cancel").status_code == 200
    assert LogEntry.objects.get(user=clerk).get_change_message() == "Canceled over the API."
