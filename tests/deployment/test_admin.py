"""An administrator of a service whose database is out of reach."""

import io
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.core.management import call_command

from deployment.admin import make_admin
from deployment.deploy import Deployment
from deployment.steps import DeploymentFailed
from tests.deployment.told import ENVIRONMENT


class Function:
    """Runs what it is asked to, as the worker function does, and remembers it."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def invoke(self, _name: str, event: Any) -> None:
        self.asked.append(event)
        call_command(*event["manage"].split(" "), stdout=io.StringIO())


@pytest.fixture
def deployment(monkeypatch: Any) -> Deployment:
    found = Deployment(ENVIRONMENT)
    monkeypatch.setitem(found.__dict__, "account", Function())
    return found


@pytest.mark.django_db
def test_it_shows_a_password_that_never_travels(deployment: Any, capsys: Any) -> None:
    make_admin(deployment, "ada")

    password = capsys.readouterr().out.partition("The password is ")[2].splitlines()[0]
    user = authenticate(username="ada", password=password)
    assert user is not None
    assert password not in repr(deployment.account.asked)


@pytest.mark.parametrize("name", ["", "two words", "a\tb"])
def test_it_refuses_a_name_that_would_be_split(deployment: Deployment, name: str) -> None:
    with pytest.raises(DeploymentFailed, match="name"):
        make_admin(deployment, name)
