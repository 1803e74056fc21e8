"""/healthz, /readyz and /metrics as a balancer, a kubelet or Prometheus asks a server: by address, without TLS."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User
from django.test import Client

from mlserve.access.tokens import make_token
from mlserve.http.handlers import Application
from mlserve.operations import health
from predictions.queue import heartbeat
from registry.models import ModelVersion

BY_ADDRESS = ["10.0.0.7:8000", "[fd00::7]:8000", "another.example", "not a host"]


@pytest.fixture
def server(settings: Any, transactional_db: None) -> Iterator[httpx.Client]:
    """Not on a laptop: one host is allowed, plain HTTP is redirected."""
    settings.ON_LAPTOP, settings.ALLOWED_HOSTS = False, ["models.example.com"]
    settings.SECURE_SSL_REDIRECT, settings.SECURE_PROXY_SSL_HEADER = True, ("HTTP_X_FORWARDED_PROTO", "https")
    settings.MLSERVE_METRICS_TOKEN = "of-the-scraper"
    with httpx.Client(transport=httpx.WSGITransport(app=Application()), base_url="http://10.0.0.7:8000") as client:
        yield client


@pytest.mark.parametrize("host", BY_ADDRESS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_it_answers_whatever_the_host_is(server: httpx.Client, method: str, host: str) -> None:
    answer = server.request(method, "/healthz", headers={"Host": host})

    assert answer.status_code == 200
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_it_says_by_address_whether_it_is_ready(server: httpx.Client, penguins: ModelVersion) -> None:
    assert server.get("/readyz").status_code == 503
    heartbeat.see_this_worker()
    health._recent = health.RecentAnswer(health._check_all)

    answer = server.get("/readyz")

    assert (answer.status_code, answer.json()["status"]) == (200, "ready")


def test_it_keeps_metrics_for_those_who_may_read_them(server: httpx.Client, owner: User, reader: User) -> None:
    def status(**headers: str) -> int:
        return server.get("/metrics", headers=headers).status_code

    def token_of(user: User, scope: str) -> str:
        return make_token(user, name=scope, scopes=[scope], days=1, created_by="")[1]

    assert status() == 401
    assert status(Accept="text/html") == 401
    assert status(Authorization="Bearer wrong") == 401
    assert status(Authorization=f"Bearer {token_of(reader, 'predict')}") == 403
    assert status(Authorization=f"Bearer {token_of(owner, 'admin')}") == 200
    assert status(Authorization="Bearer of-the-scraper") == 200


def test_it_shows_staff_the_metrics_by_their_session(server: httpx.Client, settings: Any, owner: User) -> None:
    browser = Client()
    browser.force_login(owner)
    server.cookies[settings.SESSION_COOKIE_NAME] = browser.cookies[settings.SESSION_COOKIE_NAME].value

    assert server.get("/metrics").status_code == 200


@pytest.mark.parametrize(("path", "prefix"), [("/healthz", ""), ("/web/healthz", "/web"), ("/healthz", "/web")])
def test_it_answers_below_a_base_path(server: httpx.Client, settings: Any, path: str, prefix: str) -> None:
    settings.FORCE_SCRIPT_NAME = prefix or None
    settings.SECURE_REDIRECT_EXEMPT = [rf"^{prefix[1:]}/?(healthz|readyz|metrics)$"]
    application = Application()

    with httpx.Client(transport=httpx.WSGITransport(app=application), base_url="http://10.0.0.7:8000") as client:
        assert client.get(path).json() == {"status": "live"}


@pytest.mark.parametrize("path", ["/", "/healthz/", "/login", "/models/healthz"])
def test_it_checks_the_host_of_all_else(server: httpx.Client, path: str) -> None:
    answer = server.get(path, headers={"X-Forwarded-Proto": "https"})

    assert (answer.status_code, "ALLOWED_HOSTS" in answer.text) == (400, True)
