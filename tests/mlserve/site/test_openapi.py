"""GET /api/schema and /api/docs."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from jsonschema_rs import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from rest_framework.test import APIClient

from registry.models import Model, ModelVersion

pytestmark = pytest.mark.django_db

PREDICT = "/api/models/penguins/predict"


def document(api: APIClient) -> dict[str, Any]:
    response = api.get("/api/schema", headers={"Accept": "application/vnd.oai.openapi+json"})
    assert response.status_code == 200
    body: dict[str, Any] = response.json()
    return body


def test_it_is_valid_openapi_3_1(api: APIClient, penguins: ModelVersion) -> None:
    body = document(api)

    assert body["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(body).validate()


def test_it_has_the_record_schema_of_each_live_model_with_examples_that_fit(
    api: APIClient, penguins: ModelVersion
) -> None:
    body = document(api)

    record = body["components"]["schemas"]["penguins.record"]
    content = body["paths"][PREDICT]["post"]["requestBody"]["content"]["application/json"]
    assert list(record["properties"]) == list(penguins.record_schema.names)
    assert Draft202012Validator(record).is_valid(content["examples"]["one"]["value"])


def test_it_refers_only_to_what_it_defines(api: APIClient, penguins: ModelVersion) -> None:
    body = document(api)

    components = body["components"]
    defined = {f"#/components/{kind}/{name}" for kind in ("schemas", "responses") for name in components[kind]}
    assert set(references(body)) <= defined


def test_it_describes_the_members_that_answers_have(
    api: APIClient, penguins: ModelVersion, penguin: dict[str, Any]
) -> None:
    accepted = api.post("/api/predict", penguin).json()
    prediction = api.get(accepted["url"]).json()

    schemas = document(api)["components"]["schemas"]
    assert list(schemas["Accepted"]["properties"]) == list(accepted)
    assert list(schemas["Prediction"]["properties"]) == list(prediction)


def test_it_does_not_tell_a_stranger_of_private_models(api: APIClient, reader: User, penguins: ModelVersion) -> None:
    Model.objects.update(is_public=False)
    assert PREDICT not in document(api)["paths"]

    api.force_login(reader)

    assert PREDICT in document(api)["paths"]


def test_it_shows_swagger_ui_from_its_own_files(api: APIClient, penguins: ModelVersion) -> None:
    page = api.get("/api/docs").content.decode()

    assert "/static/drf_spectacular_sidecar/" in page
    assert "cdn." not in page


def references(node: Any) -> list[str]:
    """Every `$ref` below `node`."""
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for value in node.values() for found in references(value)]
    if isinstance(node, list):
        return [found for value in node for found in references(value)]
    return []
