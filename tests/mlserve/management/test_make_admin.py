"""manage.py make_admin."""

import io
from typing import Any

import pytest
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("make_admin", *arguments, stdout=out)
    return out.getvalue()


def password_in(output: str) -> str:
    return output.partition("The password is ")[2].splitlines()[0]


def test_it_makes_an_account_that_can_log_in(client: Any) -> None:
    password = password_in(run("ada"))

    assert client.login(username="ada", password=password)
    assert client.get("/admin/").status_code == 200


def test_it_gives_an_account_a_new_password(reader: User) -> None:
    output = run("reader")

    reader.refresh_from_db()
    assert reader.is_superuser
    assert reader.check_password(password_in(output))
    assert User.objects.count() == 1


def test_it_shows_no_password_that_was_made_elsewhere() -> None:
    output = run("ada", "--hash", make_password("made-elsewhere"))

    assert "password" not in output.lower()
    assert User.objects.get(username="ada").check_password("made-elsewhere")


@pytest.mark.parametrize("text", ["plain-text", "md5$x", "pbkdf2_sha256$1$salt$" + "a" * 300])
def test_it_refuses_what_is_no_hash(text: str) -> None:
    with pytest.raises(CommandError, match="hashes"):
        run("ada", "--hash", text)

    assert not User.objects.exists()


@pytest.mark.parametrize("name", ["two words", "", "x" * 151, "semi;colon"])
def test_it_refuses_what_is_no_name(name: str) -> None:
    with pytest.raises(CommandError, match="name"):
        run(name)


class _Unread(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_it_makes_no_account_whose_password_cannot_be_shown() -> None:
    with pytest.raises(SystemExit):
        call_command("make_admin", "ada", stdout=_Unread())

    assert not User.objects.exists()


def test_it_makes_passwords_that_are_no_option() -> None:
    assert all(not password_in(run("ada")).startswith("-") for _ in range(50))
