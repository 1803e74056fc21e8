"""The type of a problem is a whole address, also where it was stored without a request."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from rest_framework.test import APIClient

from mlserve.errors import GivenUp
from mlserve.http.problems import stored_problem
from predictions.models import Prediction
from predictions.serving.submission import submit
from registry.models import ModelVersion

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("base_path", [None, "/ml"])
def test_it_has_a_whole_address(
    penguins: ModelVersion, penguin: dict[str, Any], reader: User, settings: Any, base_path: str | None
) -> None:
    settings.FORCE_SCRIPT_NAME = base_path
    prediction = submit(penguins, penguin, outputs=["predict"], user=reader)
    changes = {"status": "failed", "finished_at": timezone.now(), "error": json.dumps(stored_problem(GivenUp("no")))}
    Prediction.objects.filter(pk=prediction.pk).update(**changes)
    client = APIClient()
    client.force_login(reader)

    one = client.get(f"/api/predict/{prediction.pk}").json()
    (listed,) = client.get("/api/predict").json()["results"]
    export: Any = client.get("/api/predict/export")
    exported = json.loads(b"".join(export.streaming_content))

    kinds = {each["error"]["type"] for each in (one, listed, exported)}
    assert kinds == {f"http://testserver{base_path or ''}/problems/given-up"}
