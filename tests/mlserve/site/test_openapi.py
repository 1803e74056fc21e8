"""GET /api/schema and /api/docs."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from jsonschema_rs import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from rest_framework.test import APIClient

from mlserve.site import openapi
from predictions import tasks
from registry.models import Model, ModelVersion
from registry.publishing.publish import Published

pytestmark = pytest.mark.django_db

PREDICT = "/api/models/penguins/predict"


def document(api: APIClient, query: str = "") -> dict[str, Any]:
    response = api.get(f"/api/schema{query}", headers={"Accept": "application/vnd.oai.openapi+json"})
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

    record = body["components"]["schemas"]["PenguinsRecord"]
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


def test_it_gives_each_operation_a_summary_and_an_id_of_its_own(api: APIClient, penguins: ModelVersion) -> None:
    operations = [each for path in document(api)["paths"].values() for each in path.values()]

    assert [each["operationId"] for each in operations if not each["summary"]] == []
    ids = [each["operationId"] for each in operations]
    assert all(each.isidentifier() for each in ids)
    assert len(set(ids)) == len(ids)


def test_it_types_the_result_by_the_outputs_of_the_model(
    api: APIClient, penguins: ModelVersion, penguin: dict[str, Any]
) -> None:
    url = api.post(f"{PREDICT}?outputs=predict,predict_proba", penguin).json()["url"]
    tasks.drain()
    prediction = api.get(url).json()

    body = document(api)

    answered = body["paths"][PREDICT]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert answered == {"$ref": "#/components/schemas/PenguinsPrediction"}
    result = body["components"]["schemas"]["PenguinsResult"]
    assert result["properties"]["predictions"]["items"]["enum"] == ["Adelie", "Chinstrap", "Gentoo"]
    whole = {"$ref": "#/components/schemas/PenguinsPrediction", "components": body["components"]}
    Draft202012Validator(whole).validate(prediction)


def test_it_keeps_models_apart_that_generators_would_confuse(
    api: APIClient, publish_penguins: Callable[..., Published]
) -> None:
    names = ["penguins-eu", "penguins.eu", "Penguins_EU", "list", "2024"]
    for name in names:
        publish_penguins(model=name, is_public=True, promote=True)

    body = document(api)

    OpenAPIV31SpecValidator(body).validate()
    own = [body["paths"][f"/api/models/{name}/predict"]["post"] for name in names]
    assert len({each["operationId"] for each in own}) == len(names)
    titles = [each["title"].lower() for each in body["components"]["schemas"].values() if "title" in each]
    assert len(set(titles)) == len(titles) == 3 * len(names)
    assert document(api, "?model=penguins.eu")["paths"]["/api/models/penguins.eu/predict"]["post"] == own[1]

    Model.objects.filter(name="penguins-eu").update(is_public=False)
    assert document(api)["paths"]["/api/models/penguins.eu/predict"]["post"] == own[1]  # its client asks it still


def test_it_has_the_document_of_one_model(
    api: APIClient, penguins: ModelVersion, publish_penguins: Callable[..., Published]
) -> None:
    publish_penguins(model="others", is_public=True, promote=True)

    body = document(api, "?model=penguins")

    OpenAPIV31SpecValidator(body).validate()
    assert PREDICT in body["paths"]
    assert "/api/models/others/predict" not in body["paths"]
    assert not any(name.startswith("Others") for name in body["components"]["schemas"])


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/vnd.oai.openapi+json", "application/yaml"])
def test_it_has_no_document_of_an_unknown_model(api: APIClient, penguins: ModelVersion, accept: str) -> None:
    Model.objects.create(name="hidden")

    for name in ("unknown", "hidden"):
        response = api.get(f"/api/schema?model={name}", headers={"Accept": accept})

        assert response.status_code == 404
        assert response.headers["Content-Type"] == "application/problem+json"
        assert name in json.loads(response.content)["detail"]


def test_it_points_to_the_documents_of_very_many_models(api: APIClient, penguins: ModelVersion) -> None:
    one = ModelVersion.objects.get(pk=penguins.pk)
    for number in range(60):
        model = Model.objects.create(name=f"model-{number}", is_public=True)
        one.pk, one.model, one._state.adding = None, model, True
        one.save(force_insert=True)

    body = document(api)

    OpenAPIV31SpecValidator(body).validate()
    assert len(json.dumps(body)) < 200_000
    assert PREDICT not in body["paths"]
    assert "/api/schema?model=NAME" in body["info"]["description"]
    address = body["x-model-documents"]["model-7"]
    assert "/api/models/model-7/predict" in api.get(f"{address}&format=json").json()["paths"]


def test_it_takes_the_columns_into_account(
    api: APIClient, penguins: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openapi, "_MOST_COLUMNS", 6)

    assert list(document(api)["x-model-documents"]) == ["penguins"]
    assert PREDICT in document(api, "?model=penguins")["paths"]


def test_it_shows_swagger_ui_of_one_model(api: APIClient, penguins: ModelVersion) -> None:
    script = api.get("/api/docs?model=penguins&script=").content.decode()

    assert '"schema?model=penguins"' in script.replace("\\u003D", "=")


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
