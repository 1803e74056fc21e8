"""GET and POST /models/<model>"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from predictions import tasks
from predictions.models import Prediction
from registry.inspection.version_request import VersionRequest
from registry.models import Model, ModelVersion
from registry.publishing.publish import Published, publish
from tests import pipelines
from tests.predictions.conftest import Submit
from tests.predictions.draining_worker import draining_worker
from tests.predictions.page import Page

pytestmark = pytest.mark.django_db

URL = "/models/penguins"
TYPED = {
    "island": "Biscoe",
    "bill_length_mm": "46.1",
    "bill_depth_mm": "13.2",
    "flipper_length_mm": "211",
    "body_mass_g": "4500",
    "sex": "female",
    "year": "2007",
}


@pytest.fixture
def worker(transactional_db: None) -> Iterator[None]:
    with draining_worker():
        yield


@pytest.fixture
def impatient(settings: Any) -> None:
    """No request waits for a result, so that a test without a worker goes on at once."""
    settings.MLSERVE_MAX_WAIT = 0


def test_it_asks_for_every_column(client: Client, penguins: ModelVersion) -> None:
    page = Page(client.get(URL))

    assert (page.status, page.heading) == (200, "Which penguin is it?")
    assert page.texts("//fieldset/legend") == ["The penguin", "Measurements"]
    assert page.fields == {
        "island": "Biscoe",
        "sex": "",
        "year": "2009",
        "bill_length_mm": "",
        "bill_depth_mm": "",
        "flipper_length_mm": "200",
        "body_mass_g": "",
    }


def test_it_makes_a_form_without_a_configuration(client: Client, penguins: ModelVersion) -> None:
    ModelVersion.objects.filter(pk=penguins.pk).update(form_config=None)

    page = Page(client.get(URL))

    assert set(page.fields) == set(TYPED)
    assert page.texts("//form//button") == ["Predict"]


def test_it_names_every_control(client: Client, penguins: ModelVersion) -> None:
    tree = Page(client.get(URL)).tree

    ids = set(tree.xpath("//@id"))
    referred = " ".join(tree.xpath("//@for | //@aria-describedby | //@aria-labelledby")).split()
    assert set(referred) <= ids
    for control in tree.xpath("//form//input[not(@type='hidden')] | //form//select"):
        assert tree.xpath("//label[@for=$id]", id=control.get("id")) or control.getparent().tag == "label"


def test_it_fills_in_an_example(client: Client, penguins: ModelVersion) -> None:
    page = Page(client.get(f"{URL}?example=1"))

    assert page.fields == {
        "island": "Torgersen",
        "sex": "male",
        "year": "2007",
        "bill_length_mm": "39.1",
        "bill_depth_mm": "18.7",
        "flipper_length_mm": "181",
        "body_mass_g": "3750",
    }


def test_it_starts_from_an_earlier_prediction(
    client: Client, penguins: ModelVersion, penguin: dict[str, Any], submit_rows: Submit
) -> None:
    earlier = submit_rows([{**penguin, "flipper_length_mm": None, "body_mass_g": 6000}, penguin])

    page = Page(client.get(f"{URL}?from={earlier.pk}"))

    assert page.fields["body_mass_g"] == "6000"
    assert page.fields["flipper_length_mm-unknown"] == "on"


def test_it_shows_an_earlier_value_that_the_slider_would_move(
    client: Client, penguins: ModelVersion, penguin: dict[str, Any], submit_rows: Submit
) -> None:
    earlier = submit_rows({**penguin, "flipper_length_mm": 250.5})

    page = Page(client.get(f"{URL}?from={earlier.pk}"))

    assert page.fields["flipper_length_mm"] == "250.5"
    assert page.labelled("flipper_length_mm").get("type") == "number"


@pytest.mark.parametrize("earlier", ["x", "0193a0c0-0000-7000-8000-000000000000"])
def test_it_does_not_find_an_unknown_earlier_prediction(client: Client, penguins: ModelVersion, earlier: str) -> None:
    assert client.get(f"{URL}?from={earlier}").status_code == 404


def test_it_does_not_start_from_the_prediction_of_another_model(
    client: Client, penguins: ModelVersion, publish_penguins: Callable[..., Published], submit_rows: Submit
) -> None:
    publish_penguins(model="others", is_public=True, promote=True)

    assert client.get(f"/models/others?from={submit_rows().pk}").status_code == 404


def test_it_shows_a_request_to_copy(client: Client, penguins: ModelVersion) -> None:
    page = Page(client.get(URL))

    assert page.texts("//details//label") == ["curl", "Python", "JavaScript"]
    curl, python, javascript = page.texts("//details//pre")
    assert curl.startswith("curl 'http://testserver/api/models/penguins/predict?outputs=predict,predict_proba'")
    assert "'Prefer: wait=10'" in curl
    assert python.startswith("import requests")
    assert "await fetch(" in javascript
    assert all('"island": "Torgersen"' in text for text in (curl, python, javascript))


def test_it_shows_the_request_for_this_very_input(
    client: Client, penguins: ModelVersion, penguin: dict[str, Any], submit_rows: Submit
) -> None:
    earlier = submit_rows({**penguin, "body_mass_g": 6123})
    tasks.drain()

    for address in (f"{URL}?from={earlier.pk}", f"{URL}?prediction={earlier.pk}"):
        for text in Page(client.get(address)).texts("//details//pre"):
            assert '"body_mass_g": 6123' in text


def test_it_runs_nothing_inline(client: Client, penguins: ModelVersion) -> None:
    tree = Page(client.get(URL)).tree

    assert tree.xpath("//script[not(@src)] | //style | //@style | //@onclick | //@onchange") == []
    assert len(tree.xpath("//details//input[@type='radio'][@name='language']")) == 3


def test_it_says_that_there_is_no_live_version(client: Client, penguins: ModelVersion) -> None:
    ModelVersion.objects.filter(pk=penguins.pk).update(status="ready")

    page = Page(client.get(URL))

    assert page.status == 200
    assert "No live version yet" in page.texts("//h2")
    assert Page(client.post(URL, TYPED)).status == 200
    assert not Prediction.objects.exists()


def test_it_does_not_find_an_unknown_model(client: Client, penguins: ModelVersion) -> None:
    page = Page(client.get("/models/pinguins", headers={"Accept": "text/html"}))

    assert (page.status, page.heading) == (404, "Not found")


def test_it_hides_a_private_model_from_a_stranger(client: Client, penguins: ModelVersion, reader: User) -> None:
    Model.objects.update(is_public=False)

    assert client.get(URL).status_code == client.post(URL, TYPED).status_code == 404
    client.force_login(reader)
    assert all("Authorization" in text for text in Page(client.get(URL)).texts("//details//pre"))


def test_it_refuses_other_methods(client: Client, penguins: ModelVersion) -> None:
    assert client.put(URL).status_code == 405


def test_it_wants_its_own_form(penguins: ModelVersion) -> None:
    assert Client(enforce_csrf_checks=True).post(URL, TYPED).status_code == 403


def test_it_shows_the_result_beside_the_form(worker: None, client: Client, penguins: ModelVersion) -> None:
    page = Page(client.post(URL, TYPED, follow=True))

    prediction = Prediction.objects.get()
    assert page.status == 200
    assert page.of_class("answer")[0].startswith("This is probably a gentoo penguin")
    assert page.texts("//ul[@class='bars']/li/span[1]")[0] == "a gentoo penguin"
    assert len(page.tree.xpath("//meter[@min='0'][@max='1'][@value][@aria-label]")) == 3
    assert f"/predictions/{prediction.pk}" in page.links()
    assert page.fields == TYPED
    assert prediction.outputs == "predict,predict_proba"


def test_it_gives_the_result_an_address_that_can_be_reloaded(
    worker: None, client: Client, penguins: ModelVersion
) -> None:
    response = client.post(URL, TYPED)

    prediction = Prediction.objects.get()
    assert response.status_code == 302
    address = response.headers["Location"]
    assert address == f"{URL}?prediction={prediction.pk}#result"
    first, again = (Page(client.get(address)) for _ in range(2))
    assert first.of_class("answer") == again.of_class("answer") != []
    assert Prediction.objects.count() == 1


@pytest.mark.parametrize("why", ["not ended", "many rows", "another version", "not live"])
def test_it_goes_to_the_permalink_of_what_the_form_did_not_ask(
    client: Client,
    penguins: ModelVersion,
    penguin: dict[str, Any],
    submit_rows: Submit,
    publish_penguins: Callable[..., Published],
    why: str,
) -> None:
    prediction = submit_rows([penguin] * (2 if why == "many rows" else 1))
    if why != "not ended":
        tasks.drain()
    if why == "another version":
        publish_penguins("2.0", promote=True)
    if why == "not live":
        ModelVersion.objects.update(status="retired")

    response = client.get(f"{URL}?prediction={prediction.pk}")

    assert response.status_code == 302
    assert response.headers["Location"] == f"/predictions/{prediction.pk}"


def test_it_shows_the_result_of_a_private_model_to_its_owner_only(
    client: Client, penguins: ModelVersion, submit_rows: Submit, reader: User
) -> None:
    prediction = submit_rows()
    tasks.drain()
    Model.objects.update(is_public=False)
    Prediction.objects.update(owner=reader)
    address = f"{URL}?prediction={prediction.pk}"

    assert client.get(address).status_code == 404
    client.force_login(User.objects.create_user("other"))
    assert client.get(address).status_code == 404
    client.force_login(reader)
    assert client.get(address).status_code == 200


def test_it_shows_no_input_to_staff_without_the_permission(
    client: Client, penguins: ModelVersion, submit_rows: Submit, reader: User
) -> None:
    prediction = submit_rows()
    tasks.drain()
    Prediction.objects.update(owner=reader)
    client.force_login(User.objects.create_user("clerk", is_staff=True))

    response = client.get(f"{URL}?prediction={prediction.pk}", follow=True)

    assert response.redirect_chain == [(f"/predictions/{prediction.pk}", 302)]
    assert "4500" not in response.content.decode()


@pytest.mark.parametrize("asked", ["x", "0193a0c0-0000-7000-8000-000000000000"])
def test_it_does_not_find_an_unknown_result(client: Client, penguins: ModelVersion, asked: str) -> None:
    assert client.get(f"{URL}?prediction={asked}").status_code == 404


def test_it_does_not_show_the_prediction_of_another_model(
    client: Client, penguins: ModelVersion, publish_penguins: Callable[..., Published], submit_rows: Submit
) -> None:
    publish_penguins(model="others", is_public=True, promote=True)

    assert client.get(f"/models/others?prediction={submit_rows().pk}").status_code == 404


def test_it_stores_the_typed_record(impatient: None, client: Client, penguins: ModelVersion, reader: User) -> None:
    client.force_login(reader)

    client.post(URL, {**TYPED, "sex": "", "flipper_length_mm-unknown": "on"})

    prediction = Prediction.objects.get()
    assert prediction.owner == reader
    assert prediction.rows == [
        {
            "island": "Biscoe",
            "sex": None,
            "year": 2007,
            "bill_length_mm": 46.1,
            "bill_depth_mm": 13.2,
            "flipper_length_mm": None,
            "body_mass_g": 4500,
        }
    ]


def test_it_goes_to_the_permalink_when_the_result_takes_long(
    impatient: None, client: Client, penguins: ModelVersion
) -> None:
    response = client.post(URL, TYPED)

    assert response.status_code == 302
    assert response.headers["Location"] == f"/predictions/{Prediction.objects.get().pk}"


def test_it_shows_errors_at_their_fields_and_keeps_what_was_typed(client: Client, penguins: ModelVersion) -> None:
    typed = {**TYPED, "bill_length_mm": "300", "body_mass_g": "heavy", "year": ""}

    page = Page(client.post(URL, typed))

    assert page.status == 422
    assert page.of_class("notice")[0].startswith("Nothing was predicted yet")
    assert sorted(page.of_class("error")) == [
        "Bill length (mm) must be at most 80.",
        "Body mass (g) must be a number or null.",
        "Year is required.",
    ]
    assert page.fields == typed
    assert page.labelled("year").get("aria-invalid") == "true"
    assert not Prediction.objects.exists()


def test_it_links_each_error_to_its_control(client: Client, penguins: ModelVersion) -> None:
    page = Page(client.post(URL, {**TYPED, "sex": "unknown", "year": "1"}))

    targets = page.tree.xpath("//*[@role='alert']//a/@href")
    assert len(targets) == 2
    assert all(page.tree.xpath("//form//*[@id=$id]", id=target.removeprefix("#")) for target in targets)


def test_it_shows_the_number_of_a_regressor(worker: None, client: Client, save: Any) -> None:
    artifact = save(pipelines.several_outputs())
    publish(artifact, VersionRequest("numbers", "1.0", is_public=True, promote=True))

    page = Page(client.post("/models/numbers", {"a": "3", "b": "1"}, follow=True))

    assert page.of_class("answer") == ["Result 1 6", "Result 2 2"]
    assert page.tree.xpath("//meter") == []
