"""A whole region on the stand-in for AWS, empty for each test."""

import http.client
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from deployment.account import Account


@pytest.fixture(scope="session")
def region() -> Iterator[str]:
    """The address of the stand-in, reached over HTTP."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


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
