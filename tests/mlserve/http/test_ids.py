"""One id in each form in which databases and languages write it."""

from typing import Any
from uuid import UUID

import pytest
from django.urls import Resolver404, resolve, reverse
from rest_framework.test import APIClient

from registry.models import ModelVersion

ID = UUID("01936f5e-0000-7abc-8def-000000000001")
FORMS = [str(ID), str(ID).upper(), ID.hex, ID.hex.upper(), f"{{{ID}}}", f"{{{str(ID).upper()}}}"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("path", ["/api/predict/{}", "/api/predict/{}/cancel", "/predictions/{}", "/api/uploads/{}"])
def test_it_reads_each_form_as_the_same_id(path: str, form: str) -> None:
    match = resolve(path.format(form))

    assert ID in match.kwargs.values()


@pytest.mark.parametrize("text", ["", "1", "{" + str(ID), str(ID) + "}", str(ID) + "0", ID.hex[:-1], "g" * 32])
def test_it_reads_nothing_else(text: str) -> None:
    try:
        match = resolve(f"/predictions/{text}")
    except Resolver404:
        return
    assert ID not in match.kwargs.values()
    assert not match.route


def test_it_writes_one_form() -> None:
    assert reverse("prediction-detail", kwargs={"pk": ID}) == f"/api/predict/{ID}"


@pytest.mark.django_db
def test_it_finds_a_prediction_by_each_form(api: APIClient, penguins: ModelVersion, penguin: dict[str, Any]) -> None:
    own = UUID(api.post("/api/predict", penguin).json()["prediction_id"])
    for form in (str(own), str(own).upper(), own.hex, f"%7B{own}%7D"):
        assert api.get(f"/api/predict/{form}").json()["prediction_id"] == str(own)
