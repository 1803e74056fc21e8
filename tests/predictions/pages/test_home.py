"""GET /"""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from registry.models import Model, ModelVersion
from tests.predictions.page import Page

pytestmark = pytest.mark.django_db


def test_it_lists_the_models(client: Client, penguins: ModelVersion) -> None:
    page = Page(client.get("/"))

    assert page.status == 200
    assert page.of_class("cards")[0].startswith("Which penguin is it? Adelie, Chinstrap or Gentoo")
    assert "version 1.0 live" in page.of_class("facts")[0]
    assert "/models/penguins" in page.links()


def test_it_says_which_model_has_no_live_version(client: Client) -> None:
    Model.objects.create(name="draft", is_public=True)

    assert Page(client.get("/")).of_class("facts") == ["draft no live version yet"]


def test_it_hides_private_models_from_a_stranger(client: Client, reader: User) -> None:
    Model.objects.create(name="secret")

    assert "secret" not in client.get("/").content.decode()
    client.force_login(reader)
    assert Page(client.get("/")).of_class("facts") == ["secret no live version yet private"]


def test_it_says_how_to_upload_the_first_model(client: Client) -> None:
    page = Page(client.get("/"))

    assert "python manage.py upload_model" in page.texts("//pre")[0]
    assert {"/admin/", "/login?next=/"} <= set(page.links())


def test_it_answers_an_unknown_address_with_a_page(client: Client) -> None:
    page = Page(client.get("/nothing", headers={"Accept": "text/html"}))

    assert (page.status, page.heading) == (404, "Not found")
    assert "There is nothing at /nothing." in page.of_class("lead")[0]


def test_it_explains_a_kind_of_problem(client: Client) -> None:
    page = Page(client.get("/problems/invalid-rows"))

    assert (page.status, page.heading) == (200, "The rows do not fit the model's schema")
    assert "422" in page.texts("//main")[0]


@pytest.mark.parametrize("address", ["/", "/nothing", "/problems/not-found", "/models/penguins"])
def test_it_needs_no_inline_script_or_style(client: Client, penguins: ModelVersion, address: str) -> None:
    tree = Page(client.get(address, headers={"Accept": "text/html"})).tree

    assert tree.xpath("//style | //*[@style] | //script[not(@src)] | //*[@*[starts-with(name(), 'on')]]") == []
