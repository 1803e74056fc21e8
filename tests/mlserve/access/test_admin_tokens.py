"""API tokens in the admin: made, shown once, revoked; one's own, or those of all users for superusers."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client

from mlserve.access.tokens import make_token
from mlserve.models import ApiToken

pytestmark = pytest.mark.django_db

LIST, ADD = "/admin/mlserve/apitoken/", "/admin/mlserve/apitoken/add/"
ASKED: dict[str, Any] = {"name": "CI", "scopes": ["upload"], "days": 30}


@pytest.fixture
def maker() -> User:
    """Staff who may make tokens for themselves."""
    user = User.objects.create_user("maker", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="add_apitoken"))
    return user


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_it_shows_the_secret_once(maker: User) -> None:
    client = signed_in(maker)
    made = client.post(ADD, ASKED)
    found = re.search(r"mls_[0-9a-f]{64}", made.content.decode())

    assert found
    token = ApiToken.objects.get()
    assert (token.user, token.name, token.scopes, token.created_by) == (maker, "CI", "upload", "maker")
    assert token.expiry is not None
    assert (token.expiry - token.created).days in (29, 30)
    assert "no-store" in made.headers["Cache-Control"]
    for url in (LIST, f"{LIST}{token.pk}/change/"):
        assert found[0] not in client.get(url).content.decode()
    signed = Client().get("/api/schema", HTTP_AUTHORIZATION=f"Bearer {found[0]}")
    assert signed.status_code == 200


def test_it_writes_down_who_made_and_revoked_it(maker: User) -> None:
    client = signed_in(maker)
    client.post(ADD, ASKED)
    client.post(LIST, {"action": "revoke_selected", "_selected_action": [ApiToken.objects.get().pk]})

    assert ApiToken.objects.get().state() == "revoked"
    said = [entry.get_change_message() for entry in LogEntry.objects.filter(user=maker).order_by("pk")]
    assert said == ["Made for maker, scopes upload.", "Revoked."]


def test_it_makes_tokens_for_others_by_superusers_only(owner: User, maker: User, reader: User) -> None:
    signed_in(maker).post(ADD, {**ASKED, "user": reader.pk})
    signed_in(owner).post(ADD, {**ASKED, "user": reader.pk, "is_endless": "on"})

    assert [(token.user, token.expiry is None) for token in ApiToken.objects.order_by("pk")] == [
        (maker, False),
        (reader, True),
    ]


def test_it_lists_ones_own(owner: User, maker: User) -> None:
    for user in (owner, maker):
        make_token(user, name=f"of {user}", scopes=["predict"], days=1, created_by="")

    own, every = signed_in(maker).get(LIST).content.decode(), signed_in(owner).get(LIST).content.decode()
    assert "of maker" in own
    assert "of owner" not in own
    assert "of maker" in every
    assert "of owner" in every


def test_it_revokes_no_token_of_another_user(owner: User, maker: User) -> None:
    token, _ = make_token(owner, name="x", scopes=["predict"], days=1, created_by="")

    signed_in(maker).post(LIST, {"action": "revoke_selected", "_selected_action": [token.pk]})

    token.refresh_from_db()
    assert token.revoked_at is None


def test_it_revokes_one_on_its_page_after_a_question(maker: User) -> None:
    token, _ = make_token(maker, name="x", scopes=["predict"], days=1, created_by="")
    client, page = signed_in(maker), f"{LIST}{token.pk}/revoke/"

    asked = client.get(page).content.decode()
    before = ApiToken.objects.get().revoked_at
    left = client.post(page, follow=True).content.decode()

    assert "The next request with it is refused" in asked
    assert before is None
    assert ApiToken.objects.get().revoked_at is not None
    assert page not in left


def test_it_revokes_no_token_of_another_user_on_its_page(owner: User, maker: User) -> None:
    token, _ = make_token(owner, name="x", scopes=["predict"], days=1, created_by="")

    response = signed_in(maker).post(f"{LIST}{token.pk}/revoke/")

    token.refresh_from_db()
    assert (response.status_code, token.revoked_at) == (404, None)


@pytest.mark.parametrize(
    "wrong", [{"name": ""}, {"scopes": []}, {"scopes": ["all"]}, {"days": 0}, {"days": 400}, {"name": "x" * 101}]
)
def test_it_says_what_is_wrong(maker: User, wrong: dict[str, Any]) -> None:
    response = signed_in(maker).post(ADD, {**ASKED, **wrong})

    assert response.status_code == 200
    assert "No token was made" in response.content.decode()
    assert not ApiToken.objects.exists()


def test_it_is_closed_to_other_staff(db: None) -> None:
    client = signed_in(User.objects.create_user("staff", is_staff=True))

    assert [client.get(url).status_code for url in (LIST, ADD)] == [403, 403]
    refused = client.post(ADD, ASKED)
    assert refused.status_code == 403
    assert "An administrator can give it." in refused.content.decode()
    assert "sign in" not in refused.content.decode()


def test_it_lets_no_user_change_or_delete_one(owner: User) -> None:
    token, _ = make_token(owner, name="x", scopes=["predict"], days=1, created_by="")
    client = signed_in(owner)

    assert client.post(f"{LIST}{token.pk}/change/", {"name": "y"}).status_code == 403
    assert client.post(f"{LIST}{token.pk}/delete/", {"post": "yes"}).status_code == 403


def test_it_writes_times_with_their_zone(owner: User) -> None:
    make_token(owner, name="x", scopes=["predict"], days=1, created_by="")
    ApiToken.objects.update(expiry=datetime(2030, 1, 31, 12, 5, tzinfo=UTC))

    assert "2030-01-31 12:05 UTC" in signed_in(owner).get(LIST).content.decode()
