"""GET /predictions/<id>"""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from predictions import tasks
from predictions.models import Prediction
from registry.inspection.version_request import VersionRequest
from registry.models import Model, ModelVersion
from registry.publishing.publish import Published, promote, publish
from tests import pipelines
from tests.predictions.conftest import Submit
from tests.predictions.page import Page

pytestmark = pytest.mark.django_db

BOTH = ("predict", "predict_proba")


def url(pk: UUID) -> str:
    return f"/predictions/{pk}"


def test_it_shows_the_result_and_its_input(client: Client, submit_rows: Submit) -> None:
    prediction = submit_rows(outputs=BOTH)
    tasks.drain()

    page = Page(client.get(url(prediction.pk)))

    assert page.status == 200
    assert page.of_class("value") == ["a gentoo penguin"]
    assert page.texts("//table//tr")[:2] == ["Island Biscoe", "Sex female"]
    facts = page.of_class("facts-list")[0]
    assert facts.startswith("Status succeeded Model penguins Version 1.0 live Asked ")
    assert "Waited" in facts
    assert "Predicted in" in facts
    assert {f"/api/predict/{prediction.pk}", f"/models/penguins?from={prediction.pk}"} <= set(page.links())


def test_it_says_when_a_value_is_outside_of_what_training_saw(
    client: Client, penguin: dict[str, Any], submit_rows: Submit
) -> None:
    prediction = submit_rows({**penguin, "body_mass_g": 8999})
    tasks.drain()

    page = Page(client.get(url(prediction.pk)))

    assert "Body mass (g) far from what training saw" in page.of_class("warn")[0]


def test_it_says_what_was_not_given(client: Client, penguin: dict[str, Any], submit_rows: Submit) -> None:
    prediction = submit_rows({**penguin, "sex": None})

    assert "Sex not given" in Page(client.get(url(prediction.pk))).texts("//table//tr")


def test_it_comes_back_by_itself_while_it_waits(client: Client, submit_rows: Submit) -> None:
    prediction = submit_rows()

    page = Page(client.get(url(prediction.pk)))

    assert page.of_class("busy") == ["Waiting for a worker…"]
    assert page.tree.xpath("//noscript/meta/@content") == ["1"]
    assert page.tree.xpath("//@data-poll") == [f"/api/predict/{prediction.pk}"]


def test_it_rests_when_the_prediction_has_ended(client: Client, submit_rows: Submit) -> None:
    prediction = submit_rows()
    tasks.drain()

    page = Page(client.get(url(prediction.pk)))

    assert page.tree.xpath("//noscript | //@data-poll") == []


def test_it_says_that_it_was_canceled(client: Client, submit_rows: Submit) -> None:
    prediction = submit_rows()
    Prediction.objects.cancel(prediction.pk, now=timezone.now())

    assert "Canceled" in Page(client.get(url(prediction.pk))).texts("//h2")


def test_it_says_that_it_expired(client: Client, submit_rows: Submit, settings: Any) -> None:
    prediction = submit_rows()
    settings.MLSERVE_QUEUE_SECONDS = 0
    Prediction.objects.expire(now=timezone.now())

    assert "Expired" in Page(client.get(url(prediction.pk))).texts("//h2")


def test_it_shows_the_error_of_the_model(client: Client, submit_rows: Submit, save: Any) -> None:
    artifact = save(pipelines.raises_above_100())
    version = publish(artifact, VersionRequest("picky", "1.0", is_public=True, promote=True)).version
    prediction = submit_rows([{"a": 1, "b": 0}, {"a": 101, "b": 0}], version=version)
    tasks.drain()

    page = Page(client.get(url(prediction.pk)))

    assert "The model raised an error" in page.texts("//h2")
    assert "The model could not predict 1 of 2 rows." in page.of_class("notice")[0]
    assert "#/1 ValueError: a must not exceed 100" in page.of_class("notice")[0]


def test_it_shows_the_first_of_many_rows(client: Client, penguin: dict[str, Any], submit_rows: Submit) -> None:
    rows = [{**penguin, "year": 2007 + number % 3} for number in range(120)]
    prediction = submit_rows([*rows, {**penguin, "body_mass_g": 8999}], outputs=BOTH)
    tasks.drain()

    page = Page(client.get(url(prediction.pk)))

    lines = page.texts("//tbody/tr")
    assert "121 rows were predicted" in page.texts("//h2")
    assert "The first 100 of 121; all of them as JSON." in page.texts("//section/p")
    assert len(lines) == 100
    assert lines[0].startswith("1 a gentoo penguin ")
    assert "%" in lines[0]
    assert "Row 121: Body mass (g)" in page.of_class("warn")[0]


def test_it_shows_many_rows_before_they_are_predicted(
    client: Client, penguin: dict[str, Any], submit_rows: Submit
) -> None:
    prediction = submit_rows([penguin, penguin])

    assert len(Page(client.get(url(prediction.pk))).texts("//tbody/tr")) == 2


def test_it_says_when_another_version_is_live_now(
    client: Client, submit_rows: Submit, publish_penguins: Callable[..., Published]
) -> None:
    prediction = submit_rows()
    publish_penguins("2.0")
    promote("penguins", "2.0")

    page = Page(client.get(url(prediction.pk)))

    assert "Version 1.0 2.0 is live now" in page.of_class("facts-list")[0]
    assert "Running it again asks version 2.0, which may answer differently." in page.of_class("help")


def test_it_shows_a_private_prediction_to_its_owner_only(
    client: Client, submit_rows: Submit, penguins: ModelVersion, reader: User
) -> None:
    prediction = submit_rows()
    Model.objects.update(is_public=False)
    Prediction.objects.update(owner=reader)

    assert client.get(url(prediction.pk)).status_code == 404
    client.force_login(reader)
    assert client.get(url(prediction.pk)).status_code == 200


def test_it_does_not_find_an_unknown_prediction(client: Client) -> None:
    page = Page(client.get(url(UUID(int=7)), headers={"Accept": "text/html"}))

    assert (page.status, page.heading) == (404, "Not found")
