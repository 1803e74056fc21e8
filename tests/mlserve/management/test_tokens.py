"""`manage.py make_token`, `list_tokens` and `revoke_token`."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.utils import timezone

from mlserve.models import ApiToken
from tests.mlserve.http.test_both_chains import Program

pytestmark = pytest.mark.django_db


def made(*options: str) -> None:
    call_command("make_token", "reader", "--name", "CI of birds", *options)


def test_it_prints_the_token_alone(reader: User, capsys: pytest.CaptureFixture[str]) -> None:
    made()
    out, err = capsys.readouterr()

    response = Program().get("/api/models", HTTP_AUTHORIZATION=f"Bearer {out.strip()}")
    token = ApiToken.objects.get()
    assert response.status_code == 200
    assert token.scopes == "predict"
    assert token.expiry is not None
    assert (token.expiry - timezone.now()).days in (89, 90)
    assert f"Token {token.pk} of reader, scopes predict, expires on" in err
    assert "(shell)" in token.created_by


def test_it_takes_scopes_and_an_end(reader: User, capsys: pytest.CaptureFixture[str]) -> None:
    made("--scope", "upload", "--scope", "predict", "--forever")

    token = ApiToken.objects.get()
    assert (token.scopes, token.expiry) == ("predict,upload", None)
    assert "never expires" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("user", "options", "sentence"),
    [
        ("nobody", ["--name", "x"], "There is no user 'nobody'"),
        ("reader", ["--name", "x", "--days", "400"], "days is 400; a token lasts 1 to 365 days"),
        ("reader", ["--name", "  "], "give the token a name"),
        ("reader", ["--name", "x", "--scope", "all"], "invalid choice: 'all'"),
        ("reader", [], "--name"),
    ],
)
def test_it_makes_none_that_makes_no_sense(reader: User, user: str, options: list[str], sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        call_command("make_token", user, *options)
    assert not ApiToken.objects.exists()


def test_it_lists_also_what_was_revoked(reader: User, owner: User, capsys: pytest.CaptureFixture[str]) -> None:
    made()
    capsys.readouterr()
    call_command("revoke_token", str(ApiToken.objects.get().pk))
    call_command("revoke_token", str(ApiToken.objects.get().pk))
    revoked = capsys.readouterr().out.splitlines()
    call_command("list_tokens")
    table = capsys.readouterr().out
    call_command("list_tokens", "--json", "--user", "reader")
    listed: list[dict[str, Any]] = json.loads(capsys.readouterr().out)

    assert "is revoked." in revoked[0]
    assert "nothing changed" in revoked[1]
    assert "CI of birds" in table
    assert "revoked" in table
    assert [(token["user"], token["state"], token["scopes"]) for token in listed] == [
        ("reader", "revoked", ["predict"])
    ]


def test_it_says_how_to_begin_and_what_is_unknown(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("list_tokens")

    assert "make_token USER --name NAME" in capsys.readouterr().out
    with pytest.raises(CommandError, match="There is no token 7"):
        call_command("revoke_token", "7")
