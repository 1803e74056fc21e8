"""Ended predictions are deleted after the service's days, or after their model's."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from predictions.models import Prediction
from predictions.store.retention import delete_what_is_too_old
from predictions.tasks import sweep
from registry.models import Model, ModelVersion
from tests.predictions.conftest import Submit

pytestmark = pytest.mark.django_db


def ended(submit_rows: Submit, *, days: float, **more: Any) -> Prediction:
    prediction, at = submit_rows(**more), timezone.now() - timedelta(days=days)
    Prediction.objects.filter(pk=prediction.pk).update(status="canceled", created_at=at, finished_at=at)
    return prediction


def keep_for(days: int | None) -> None:
    Model.objects.filter(name="penguins").update(retention_days=days)


def test_it_deletes_earlier_what_its_model_retains_shorter(submit_rows: Submit) -> None:
    keep_for(3)
    ended(submit_rows, days=4)
    young = ended(submit_rows, days=2)

    assert sweep()["deleted"] == 1
    assert Prediction.objects.get() == young


def test_it_keeps_those_of_other_models(submit_rows: Submit, publish_penguins: Any) -> None:
    other = publish_penguins(model="others").version
    keep_for(3)
    ended(submit_rows, days=4, version=other)

    assert delete_what_is_too_old(now=timezone.now()) == 0


@pytest.mark.parametrize("days", [None, 365])
def test_it_retains_nothing_longer_than_the_service(submit_rows: Submit, days: int | None) -> None:
    keep_for(days)
    ended(submit_rows, days=31)
    ended(submit_rows, days=29)

    assert delete_what_is_too_old(now=timezone.now()) == 1


def test_it_leaves_what_has_not_ended(submit_rows: Submit) -> None:
    keep_for(1)
    submit_rows()
    Prediction.objects.update(created_at=timezone.now() - timedelta(days=2))

    assert delete_what_is_too_old(now=timezone.now()) == 0


def test_it_lets_an_administrator_say_how_long(penguins: ModelVersion, client: Client, owner: Any) -> None:
    client.force_login(owner)
    url = f"/admin/registry/model/{penguins.model_id}/change/"
    empty = {f"{prefix}-{name}_FORMS": "0" for prefix in ("versions", "promotions") for name in ("TOTAL", "INITIAL")}

    refused = client.post(url, {"title": "", "description": "", "retention_days": "0", **empty})
    client.post(url, {"title": "", "description": "", "retention_days": "7", **empty})

    assert "greater than or equal to 1" in refused.content.decode()
    assert Model.objects.get().retention_days == 7
