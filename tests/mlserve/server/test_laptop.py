"""mlserve/server/laptop.py, where it is a server; `tests/flows/test_serve.py` starts a laptop."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management.base import CommandError

from mlserve.server import laptop

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _on_a_server(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.ON_LAPTOP = False
    monkeypatch.setattr(laptop, "call_command", lambda *_args, **_options: None)


def test_it_says_that_no_user_can_log_in_yet() -> None:
    assert any("make_admin NAME" in line for line in laptop.prepare())


def test_it_asks_for_a_proxy_only_once_a_user_can_log_in(owner: User) -> None:
    (line,) = laptop.prepare()

    assert "the proxy in front that ends TLS" in line


def test_it_says_that_no_host_is_allowed_yet(settings: Any, owner: User) -> None:
    settings.ALLOWED_HOSTS = []

    assert any("ALLOWED_HOSTS is empty" in line for line in laptop.prepare())


def shown_password(output: str) -> str:
    return output.partition("with the password '")[2].partition("'")[0]


def test_it_shows_the_password_before_a_step_that_fails(
    settings: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    settings.ON_LAPTOP = True
    monkeypatch.setattr(laptop, "EXAMPLE", tmp_path)

    with pytest.raises(CommandError, match="could not be trained"):
        laptop.prepare()

    assert User.objects.get().check_password(shown_password(capsys.readouterr().out))


def test_it_makes_no_account_whose_password_cannot_be_shown(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_options: object) -> None:
        raise BrokenPipeError

    settings.ON_LAPTOP = True
    monkeypatch.setattr("builtins.print", refuse)

    with pytest.raises(BrokenPipeError):
        laptop.prepare()

    assert not User.objects.exists()


def test_it_shows_passwords_that_are_no_option(
    settings: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.ON_LAPTOP = True
    monkeypatch.setattr(laptop, "_ensure_example", list)
    passwords = []
    for _ in range(50):
        User.objects.all().delete()
        laptop.prepare()
        passwords.append(shown_password(capsys.readouterr().out))

    assert len(set(passwords)) == 50
    assert all(re.fullmatch(r"[0-9a-f]{24}", password) for password in passwords)
