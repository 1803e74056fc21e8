"""GET /models/<model>/suggestions, and the form of a model with 100,000 categories in each of two columns."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Browser, expect
from pytest_django.live_server_helper import LiveServer
from rest_framework.test import APIClient
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

from predictions.pages.suggestions import Suggestions
from registry.inspection.version_request import version_request
from registry.models import Model, ModelVersion
from registry.publishing.publish import publish
from tests import pipelines
from tests.browser import browsing
from tests.predictions.draining_worker import draining_worker
from tests.predictions.page import Page
from tests.shared import folder_of_the_run, one_at_a_time

URL = "/models/places/suggestions?column=city"
PLACES = [f"Place {number:06} & Söhne" for number in range(100_000)]
MOST_BYTES = 200_000


def train(path: Path) -> Path:
    frame = pd.DataFrame({"city": PLACES, "shop": PLACES[::-1], "area": np.arange(len(PLACES)) + 0.5})
    frame["size"] = np.arange(len(frame)) % 50
    encoders = ColumnTransformer(
        [
            ("known", OrdinalEncoder(), ["city", "area"]),
            ("tolerant", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["shop"]),
            ("size", "passthrough", ["size"]),
        ]
    )
    pipeline = Pipeline([("columns", encoders), ("model", Ridge())]).fit(frame, frame["size"] * 2.0)
    frame[:5].to_csv(path.with_suffix(".csv"), index=False)
    return pipelines.save(pipeline, path, compress=3)


@pytest.fixture(scope="session")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = folder_of_the_run(tmp_path_factory) / "places.joblib"
    with one_at_a_time(path):
        return path if path.exists() else train(path)


@pytest.fixture
def places(db: None, artifact: Path) -> ModelVersion:
    options = {"model": "places", "tag": "1.0", "is_public": True, "promote": True}
    version: ModelVersion = publish(
        artifact, version_request(options, {"sample": artifact.with_suffix(".csv")}), by="owner"
    ).version
    return version


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ber", ["Bern", "Bergün", "Heidelberg"]),
        ("ERN", ["Lucerne", "Bern"]),
        ("", ["Lucerne", "Bern", "Bergün"]),
        ("\nbern", []),
        ("xyz", []),
        ("a\nb", ["A\nB"]),
    ],
    ids=repr,
)
def test_it_finds_what_begins_with_the_text_first(text: str, found: list[str]) -> None:
    texts = ["Lucerne", "Bern", "Bergün", "Heidelberg", "A\nB"]

    assert Suggestions(texts).matching(text, most=3) == found


def test_it_suggests_values(client: Client, places: ModelVersion) -> None:
    response = client.get(f"{URL}&text=place+0999")

    assert response.json()[:2] == ["Place 099900 & Söhne", "Place 099901 & Söhne"]
    assert len(response.json()) == 50
    assert response.headers["Cache-Control"] == "private, max-age=3600"
    assert client.get(f"{URL}&text=99999&version=1.0").json() == ["Place 099999 & Söhne"]


def test_it_suggests_numbers_as_they_are_typed(client: Client, places: ModelVersion) -> None:
    assert client.get("/models/places/suggestions?column=area&text=99999").json() == ["99999.5"]


@pytest.mark.parametrize("address", ["?column=none", "?column=city&version=9", ""])
def test_it_knows_no_other_column_or_version(client: Client, places: ModelVersion, address: str) -> None:
    assert client.get(f"/models/places/suggestions{address}").status_code == 404


def test_it_tells_a_stranger_nothing_of_a_private_model(client: Client, places: ModelVersion, reader: User) -> None:
    Model.objects.update(is_public=False)
    assert client.get(URL).status_code == 404

    client.force_login(reader)

    assert client.get(URL).status_code == 200


def test_it_asks_for_a_text_where_a_list_would_be_long(client: Client, places: ModelVersion) -> None:
    page = Page(client.get("/models/places"))

    for name, kind, sentence in (
        ("city", "text", "One of 100,000 values."),
        ("shop", "text", "100,000 values are known."),
        ("area", "number", "One of 100,000 values."),
    ):
        field = page.labelled(name)
        (suggestions,) = page.tree.xpath("//datalist[@id=$list]", list=field.get("list"))
        assert field.get("type") == kind
        assert len(suggestions) == 50
        assert sentence in page.texts(f"//*[@id='{field.get('id')}_helptext']")[0]
    assert page.labelled("size").get("list") is None


@pytest.mark.parametrize(
    "address",
    [
        "/", "/models/places", "/models/places?example=1", "/api/schema", "/api/models", "/api/models/places",
        "/api/models/places/versions", "/api/models/places/versions/1.0",
    ],
)  # fmt: skip
@pytest.mark.parametrize("accept", ["application/json", "text/html"])
def test_it_costs_no_document_more_than_200_kb(
    client: Client, places: ModelVersion, admin_user: User, address: str, accept: str
) -> None:
    client.force_login(admin_user)

    response = client.get(address, headers={"Accept": accept if "api" in address else "text/html"})

    assert response.status_code in (200, 406)
    assert len(response.content) < MOST_BYTES


def test_it_keeps_pages_small_that_only_browsers_ask_for(
    client: Client, places: ModelVersion, admin_user: User
) -> None:
    client.force_login(admin_user)
    refused = client.post("/models/places", {"city": "Atlantis", "shop": "x", "area": "7", "size": "3"})
    pages = [
        refused,
        *(client.get(f"/admin/registry/modelversion/{places.pk}/{page}") for page in ("change/", "compare/")),
    ]
    pages += [
        client.get(f"/api/models/places{part}/schema", headers={"Accept": "text/html"})
        for part in ("", "/versions/1.0")
    ]

    assert [page.status_code for page in pages] == [422, 200, 200, 200, 200]
    assert max(len(page.content) for page in pages) < MOST_BYTES


@pytest.mark.parametrize("address", ["/api/models/places/schema", "/api/models/places/versions/1.0/schema"])
def test_it_gives_the_whole_schema_in_one_place(api: APIClient, places: ModelVersion, address: str) -> None:
    properties = api.get(address).json()["properties"]

    assert properties["city"]["enum"] == PLACES
    assert len(properties["shop"]["x-training-values"]) == 100_000


def test_it_says_where_the_whole_list_is(api: APIClient, places: ModelVersion) -> None:
    cut = api.get("/api/schema", headers={"Accept": "application/vnd.oai.openapi+json"}).json()

    city = cut["components"]["schemas"]["PlacesRecord"]["properties"]["city"]
    assert city == {
        "type": "string",
        "description": "One of 100,000 values; all of them are in /api/models/places/schema.",
        "examples": PLACES[:3],
    }


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("with_script", [True, False])
def test_it_predicts_what_is_typed(
    browser: Browser, live_server: LiveServer, places: ModelVersion, with_script: bool
) -> None:
    with draining_worker(), browsing(browser, java_script_enabled=with_script) as page:
        page.goto(f"{live_server.url}/models/places?example=1")
        page.get_by_label("City").fill("Place 077777 & Söhne")
        page.get_by_label("Area").fill("77777.5")
        page.get_by_role("button", name="Predict").click()

        expect(page.locator("#result .value")).to_be_visible()
        expect(page.get_by_label("City")).to_have_value("Place 077777 & Söhne")


@pytest.mark.django_db(transaction=True)
def test_it_fetches_suggestions_while_one_types(
    browser: Browser, live_server: LiveServer, places: ModelVersion
) -> None:
    with browsing(browser) as page:
        page.goto(f"{live_server.url}/models/places")
        field = page.get_by_label("City")
        options = page.locator(f"#{field.get_attribute('list')} option")

        field.press_sequentially("place 09999")

        expect(options).to_have_count(10)
        expect(options.first).to_have_attribute("value", "Place 099990 & Söhne")
