"""POST /api/predict with rows in other layouts, and with columns that the model does not have."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rest_framework.test import APIClient

from predictions import tasks
from predictions.models import Prediction
from registry.inspection.version_request import SchemaSource, VersionRequest
from registry.models import ModelVersion
from registry.publishing.publish import publish
from tests import pipelines
from tests.predictions.draining_worker import draining_worker

pytestmark = pytest.mark.django_db

URL = "/api/predict"
IGNORED = "is not a column of this model and was ignored"


def post(api: APIClient, body: Any, url: str = URL, **headers: str) -> Any:
    return api.generic("POST", url, json.dumps(body), content_type="application/json", headers=headers)


@pytest.fixture
def worker(transactional_db: None) -> Iterator[None]:
    with draining_worker():
        yield


@pytest.fixture
def tolerant(save: Any, tmp_path: Any) -> ModelVersion:
    """A model whose schema ignores further columns; it answers with twice `a` and the sign of `b`."""
    schema = tmp_path / "schema.json"
    numbers = {"a": {"type": "number"}, "b": {"type": "number"}}
    schema.write_text(json.dumps({"type": "object", "properties": numbers, "additionalProperties": True}))
    request = VersionRequest(
        "tolerant", "1.0", schema=SchemaSource(schema, "json_schema"), is_public=True, promote=True
    )
    return publish(save(pipelines.several_outputs()), request).version


@pytest.mark.parametrize(
    "wrap",
    [
        lambda row: {"instances": [row]},
        lambda row: {"data": [row]},
        lambda row: {"inputs": row},
        lambda row: {"columns": list(row), "index": [0], "data": [list(row.values())]},
        lambda row: {name: [value] for name, value in row.items()},
        lambda row: [list(row.values())],
        lambda row: json.dumps([row]),
    ],
    ids=["instances", "data", "inputs", "split", "columns", "values", "text"],
)
@pytest.mark.parametrize("unknown", ["", "?unknown=ignore"], ids=["strict", "ignore"])
def test_it_shows_how_to_send_rows_of_this_model(
    api: APIClient, penguins: ModelVersion, wrap: Callable[[dict[str, Any]], Any], unknown: str
) -> None:
    example = penguins.sample_rows[0]

    response = post(api, wrap(example), URL + unknown)

    problem = json.loads(response.content)
    (error,) = problem["errors"]
    assert (response.status_code, error["pointer"], problem["total_errors"]) == (422, "#", 1)
    assert f"send a list of records, such as {json.dumps([example])}" in error["detail"]
    assert problem["example"] == [example]
    assert post(api, problem["example"]).status_code == 202


def test_it_lists_an_unknown_column_once(api: APIClient, penguins: ModelVersion, penguin: dict[str, Any]) -> None:
    response = post(api, [{**penguin, "colour": "black"}] * 50)

    problem = json.loads(response.content)
    assert problem["errors"] == [{"pointer": "#/0/colour", "detail": "is not a column of this model (in 50 rows)"}]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("in_place_bytes", [2**30, 0], ids=["in place", "by a worker"])
def test_it_ignores_unknown_columns_for_who_asks(
    api: APIClient, worker: None, penguins: ModelVersion, penguin: dict[str, Any], settings: Any, in_place_bytes: int
) -> None:
    settings.MLSERVE_IN_PLACE_BYTES = in_place_bytes
    rows = [penguin, {**penguin, "colour": "black", "Year": 1, "body_mass_g": 8999}]

    response = post(api, rows, f"{URL}?unknown=ignore", Prefer="wait=10")

    body = response.json()
    assert (response.status_code, body["result"]["predictions"][0]) == (200, "Gentoo")
    assert body["warnings"][:2] == [
        {"row": 1, "column": "colour", "detail": IGNORED},
        {"row": 1, "column": "Year", "detail": f"{IGNORED}; did you mean 'year'?"},
    ]
    assert [warning["column"] for warning in body["warnings"][2:]] == ["body_mass_g"]
    assert api.get(body["url"]).json()["warnings"] == body["warnings"]
    assert Prediction.objects.get().rows == [penguin, {**penguin, "body_mass_g": 8999}]


def test_it_warns_before_it_is_predicted(api: APIClient, penguins: ModelVersion, penguin: dict[str, Any]) -> None:
    url = post(api, {**penguin, "colour": "black"}, f"{URL}?unknown=ignore").json()["url"]
    expected = [{"row": 0, "column": "colour", "detail": IGNORED}]

    assert api.get(url).json()["warnings"] == expected
    tasks.drain()
    assert api.get(url).json()["warnings"] == expected


def test_it_ignores_them_where_the_model_says_so(api: APIClient, tolerant: ModelVersion) -> None:
    url = post(api, [{"a": 3, "b": 1, "id": "x"}], "/api/models/tolerant/predict").json()["url"]
    tasks.drain()

    body = api.get(url).json()
    assert body["status"] == "succeeded"
    assert body["warnings"] == [{"row": 0, "column": "id", "detail": IGNORED}]
    assert api.get("/api/models/tolerant/schema").json()["additionalProperties"] is True


def test_it_still_validates_the_other_columns(api: APIClient, penguins: ModelVersion, penguin: dict[str, Any]) -> None:
    response = post(api, {**penguin, "colour": "black", "year": "2007"}, f"{URL}?unknown=ignore")

    assert [error["pointer"] for error in json.loads(response.content)["errors"]] == ["#/year"]


@pytest.mark.parametrize("value", ["", "refuse", "true", "ignore,ignore"])
def test_it_knows_one_value_of_the_parameter(
    api: APIClient, penguins: ModelVersion, penguin: dict[str, Any], value: str
) -> None:
    response = post(api, penguin, f"{URL}?unknown={value}")

    assert response.status_code == 400
    assert "the only value is `ignore`" in json.loads(response.content)["detail"]
