"""The sign-in page, for those who may use private models without being staff."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from registry.models import Model, ModelVersion

pytestmark = pytest.mark.django_db


def test_it_lets_a_reader_use_a_private_model(client: Client, reader: User, penguins: ModelVersion) -> None:
    Model.objects.update(is_public=False)
    before = client.get("/models/penguins").status_code

    response = client.post("/login", {"username": "reader", "password": "reader-password", "next": "/models/penguins"})

    assert before == 404
    assert response.headers["Location"] == "/models/penguins"
    assert client.get("/models/penguins").status_code == 200


def test_it_says_that_the_password_is_wrong(client: Client, reader: User) -> None:
    response = client.post("/login", {"username": "reader", "password": "guess"})

    assert response.status_code == 200
    assert "enter a correct username and password" in response.content.decode()


def test_it_signs_out(client: Client, reader: User) -> None:
    client.force_login(reader)

    client.post("/logout")

    assert "Sign out" not in client.get("/").content.decode()


def test_it_leads_nowhere_else(client: Client, reader: User) -> None:
    response = client.post(
        "/login", {"username": "reader", "password": "reader-password", "next": "https://evil.example/"}
    )

    assert response.headers["Location"] == "/"
