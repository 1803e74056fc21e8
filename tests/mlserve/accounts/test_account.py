"""The page of one's own account."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.test import Client
from rest_framework.test import APIClient

from mlserve.access.tokens import make_token
from mlserve.models import ApiToken
from predictions.serving.submission import submit
from registry.models import ModelVersion
from tests.predictions.page import Page

pytestmark = pytest.mark.django_db

NEW = {"name": "nightly", "scopes": ["predict"], "days": "30"}
SECRET = re.compile(r"mls_[0-9a-f]{64}")


@pytest.fixture
def signed_in(client: Client, reader: User) -> Client:
    client.force_login(reader)
    return client


def make(user: User, name: str = "nightly") -> ApiToken:
    return make_token(user, name=name, scopes=["predict"], days=30, created_by="")[0]


@pytest.mark.parametrize("path", ["/account", "/account/predictions", "/account/password"])
def test_it_asks_a_stranger_to_sign_in(client: Client, path: str) -> None:
    assert client.get(path).headers["Location"] == f"/login?next={path}"


def test_it_makes_a_token_that_works_and_is_shown_once(signed_in: Client, reader: User) -> None:
    answer = signed_in.post("/account", NEW)

    secret = Page(answer).tree.get_element_by_id("secret").text
    program = APIClient()
    program.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    token = reader.api_tokens.get()
    assert program.get("/api/models").status_code == 200
    assert (token.name, token.scopes) == ("nightly", "predict")
    assert abs(token.expiry - token.created - timedelta(days=30)) < timedelta(minutes=1)
    assert "no-store" in answer.headers["Cache-Control"]
    assert not SECRET.search(signed_in.get("/account").content.decode())


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        pytest.param({"name": ""}, "This field is required.", id="no-name"),
        pytest.param({"name": "a\x1b[2Jb"}, "Use characters that can be printed.", id="control-characters"),
        pytest.param({"scopes": ["admin"]}, "Select a valid choice.", id="scope-of-staff"),
        pytest.param({"scopes": []}, "This field is required.", id="no-scope"),
        pytest.param({"days": "366"}, "less than or equal to 365", id="too-long"),
        pytest.param({"user": "1", "days": "0"}, "greater than or equal to 1", id="no-day"),
    ],
)
def test_it_says_why_no_token_was_made(signed_in: Client, changes: dict[str, Any], what: str) -> None:
    page = Page(signed_in.post("/account", {**NEW, **changes}))

    assert page.status == 422
    assert any(what in error for error in page.of_class("error"))
    assert not ApiToken.objects.exists()


def test_it_makes_tokens_for_nobody_else(signed_in: Client, reader: User, owner: User) -> None:
    signed_in.post("/account", {**NEW, "user": owner.pk})

    assert ApiToken.objects.get().user == reader


def test_it_lists_and_revokes_own_tokens_only(signed_in: Client, reader: User, owner: User) -> None:
    own, other = make(reader, "own"), make(owner, "of-the-owner")

    refused = signed_in.post(f"/account/tokens/{other.pk}/revoke")
    page = Page(signed_in.post(f"/account/tokens/{own.pk}/revoke", follow=True))

    own.refresh_from_db()
    other.refresh_from_db()
    assert refused.status_code == 404
    assert (own.state(), other.state()) == ("revoked", "active")
    assert page.of_class("notice") == [f"The token {own} is revoked: the next request with it is refused."]
    assert "of-the-owner" not in page.texts("//main")[0]


def test_it_lists_own_predictions_page_by_page(
    signed_in: Client, reader: User, owner: User, penguins: ModelVersion, penguin: dict[str, Any]
) -> None:
    own = [submit(penguins, penguin, outputs=["predict"], user=reader).pk for _ in range(51)]
    others = [submit(penguins, penguin, outputs=["predict"], user=user).pk for user in (owner, AnonymousUser())]

    first = Page(signed_in.get("/account/predictions"))
    second = Page(signed_in.get(f"/account/predictions{first.links()[-2].removeprefix('/account/predictions')}"))

    listed = [link for page in (first, second) for link in page.links() if "/predictions/" in link]
    assert listed == [f"/predictions/{pk}" for pk in reversed(own)]
    assert not set(listed) & {f"/predictions/{pk}" for pk in others}


def test_it_refuses_a_page_that_does_not_exist(signed_in: Client) -> None:
    answer = signed_in.get("/account/predictions?before=x")

    assert answer.status_code == 400
    assert "Give the id of a prediction" in answer.content.decode()


def test_it_changes_the_password_and_stays_signed_in(signed_in: Client, reader: User) -> None:
    passwords = {"old_password": "reader-password", "new_password1": "Gentoo-4711", "new_password2": "Gentoo-4711"}

    page = Page(signed_in.post("/account/password", passwords, follow=True))

    reader.refresh_from_db()
    assert page.heading == "Your account"
    assert page.of_class("notice")[0].startswith("Your password is changed.")
    assert reader.check_password("Gentoo-4711")


def test_it_says_why_the_password_stays(signed_in: Client, reader: User) -> None:
    passwords = {"old_password": "guess", "new_password1": "Gentoo-4711", "new_password2": "Gentoo-4711"}

    page = Page(signed_in.post("/account/password", passwords))

    assert "Your old password was entered incorrectly" in page.of_class("error")[0]


def test_it_receives_who_is_no_staff_instead_of_the_admin(client: Client, reader: User) -> None:
    """Also who signs in at the admin's own form."""
    sign_in = {"username": "reader", "password": "reader-password", "next": "/admin/registry/model/"}

    signing_in = Page(client.post("/admin/login/", sign_in, follow=True))
    again = Page(client.get("/admin/", follow=True))

    for page in (signing_in, again):
        assert page.heading == "Your account"
        assert page.of_class("notice") == ["The admin is for staff. This is the page of your own account."]


def test_it_lets_staff_into_the_admin(client: Client, owner: User) -> None:
    User.objects.filter(pk=owner.pk).update(is_staff=True)
    client.force_login(owner)

    assert client.get("/admin/login/?next=/admin/").headers["Location"] == "/admin/"


def test_it_shows_in_the_header_where_to_sign_in_and_out(client: Client, reader: User, owner: User) -> None:
    def header() -> list[str]:
        return Page(client.get("/")).texts("//header//li")

    assert header() == ["Models", "API docs", "Admin", "Sign in"]
    client.force_login(reader)
    assert header() == ["Models", "API docs", "reader", "Sign out"]
    User.objects.filter(pk=owner.pk).update(is_staff=True)
    client.force_login(owner)
    assert header() == ["Models", "API docs", "Admin", "owner", "Sign out"]
