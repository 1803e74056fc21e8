"""mlserve/server/laptop.py, where it is a server; `tests/flows/test_serve.py` starts a laptop."""

from typing import Any

import pytest
from django.contrib.auth.models import User

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
