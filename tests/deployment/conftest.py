"""A whole region on the stand-in for AWS, empty for each test."""

import http.client
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from deployment.account import Account
from tests.stand_ins import aws


@pytest.fixture(scope="session")
def region() -> Iterator[str]:
    """The address of a stand-in that no other tests share, reached over HTTP."""
    with aws.running() as stand_in:
        yield stand_in.endpoint_url


@pytest.fixture
def client(region: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """`client("sqs")` of the empty region, which every other client of this test reaches, too."""
    _reset(region)
    monkeypatch.setenv("AWS_ENDPOINT_URL", region)
    session, made = boto3.Session(), []

    def made_for(service: str) -> Any:
        made.append(session.client(service))
        return made[-1]

    yield made_for
    for each in made:
        each.close()


@pytest.fixture
def account(client: Callable[[str], Any]) -> Iterator[Account]:
    found = Account()
    yield found
    found.close()


def _reset(region: str) -> None:
    connection = http.client.HTTPConnection(region.removeprefix("http://"), timeout=10)
    connection.request("POST", "/moto-api/reset")
    connection.getresponse().read()
    connection.close()
