"""Throttles over processes: a caller that asks too often is told when to come back, before anything is read."""

import itertools
import threading
from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import InterfaceError, OperationalError, connection, transaction
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from mlserve.access import rate_counts, throttling
from mlserve.access.expired_rows import forget_callers
from mlserve.access.throttling import wait_seconds
from mlserve.access.tokens import make_token
from mlserve.conf.rates import Rate
from mlserve.models import RateWindow
from registry.models import ModelVersion
from tests.meanwhile import at_once
from tests.mlserve.http.test_both_chains import RECORD, URL, Program

pytestmark = pytest.mark.django_db

HOUR = Rate(20, 3600)
PEOPLE = ("198.51.100.7", "198.51.100.8")


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    throttling.forget_all()
    yield
    throttling.forget_all()


def in_another_process() -> None:
    """Two processes differ by what they hold in memory, and here by nothing else."""
    throttling.forget_all()


def granted(caller: str, rate: Rate, tries: int) -> int:
    return sum(wait_seconds(caller, rate) == 0 for _ in range(tries))


def test_it_grants_the_limit_and_no_more() -> None:
    assert granted("token:1", HOUR, 50) == 20
    assert granted("token:2", HOUR, 5) == 5


def test_it_counts_over_all_processes() -> None:
    total = 0
    for _ in range(6):
        total += granted("token:1", HOUR, 5)
        in_another_process()

    assert 15 <= total <= 20


def test_it_says_when_the_window_ends() -> None:
    clock = itertools.repeat(3600.0 * 5 + 3000).__next__
    for _ in range(20):
        assert wait_seconds("token:1", HOUR, clock=clock) == 0

    assert wait_seconds("token:1", HOUR, clock=clock) == 600
    assert wait_seconds("token:1", HOUR, clock=lambda: 3600.0 * 6) == 0


def test_it_asks_the_database_seldom() -> None:
    rate, asked = Rate(1000, 3600), []

    def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        asked.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(watch):
        assert granted("token:1", rate, 1200) == 1000
    assert len(asked) < 100


def test_it_grants_the_rate_by_itself_while_the_database_takes_no_count(caplog: pytest.LogCaptureFixture) -> None:
    def refuse(*_: Any) -> Any:
        raise InterfaceError("the connection is closed")

    with connection.execute_wrapper(refuse):
        assert granted("token:1", HOUR, 50) == 20
    assert caplog.text.count("the connection is closed") == 1


def test_it_grants_the_rate_once_to_threads_that_lose_the_database_together(monkeypatch: pytest.MonkeyPatch) -> None:
    both = threading.Barrier(2, timeout=30)

    def fail(*_: Any, **__: Any) -> int:
        both.wait()
        raise OperationalError("gone")

    monkeypatch.setattr(rate_counts, "add", fail)

    assert at_once(*[lambda: wait_seconds("token:1", HOUR)] * 2) == [0, 0]
    assert granted("token:1", HOUR, 50) == 18


@pytest.mark.django_db(transaction=True)
def test_it_loses_no_count_between_threads() -> None:
    def add() -> list[int]:
        return [rate_counts.add("token:1:1", 1, ends_at=timezone.now().timestamp()) for _ in range(20)]

    counts = at_once(*[add] * 4)

    assert sorted(chain(*counts)) == list(range(1, 81))


@pytest.mark.django_db(transaction=True)
def test_it_leaves_other_commits_as_durable_as_they_are() -> None:
    """The commit of a count does not wait for the disk on PostgreSQL; that of an accepted prediction has to."""
    how_to_ask = "SHOW synchronous_commit" if connection.vendor == "postgresql" else "PRAGMA synchronous"

    def setting() -> str:
        with connection.cursor() as cursor:
            cursor.execute(how_to_ask)
            return str(cursor.fetchone()[0])

    before = setting()
    rate_counts.add("token:1:1", 1, ends_at=0.0)
    assert setting() == before
    with transaction.atomic():
        rate_counts.add("token:1:1", 1, ends_at=0.0)
        assert setting() == before
    assert before not in {"off", "0"}


def test_it_forgets_windows_that_ended() -> None:
    now = timezone.now().timestamp()
    rate_counts.add("token:1:1", 1, ends_at=now - 3600)
    rate_counts.add("token:1:2", 1, ends_at=now + 3600)

    assert forget_callers() == 1
    assert RateWindow.objects.get().name == "token:1:2"


@pytest.mark.parametrize("client", [Program, APIClient], ids=["short", "long"])
def test_it_refuses_strangers_by_address(penguins: ModelVersion, settings: Any, client: Any) -> None:
    settings.MLSERVE_RATE_ADDRESS = Rate(3, 3600)
    asking = client()
    statuses = [asking.get("/api/models", REMOTE_ADDR=PEOPLE[0]).status_code for _ in range(5)]

    response = asking.post(URL, RECORD, REMOTE_ADDR=PEOPLE[0])
    assert statuses == [200, 200, 200, 429, 429]
    assert response.status_code == 429
    assert 0 < int(response.headers["Retry-After"]) <= 3600
    assert response.json()["type"].endswith("/problems/too-many-requests")
    assert asking.get("/api/models", REMOTE_ADDR=PEOPLE[1]).status_code == 200


@pytest.mark.parametrize("client", [Program, APIClient], ids=["short", "long"])
@pytest.mark.parametrize("wrong", ["Bearer mls_" + "0" * 64, "Bearer guess", "Basic guess", "Basic Z3Vlc3M="])
def test_it_counts_callers_that_cannot_sign_in(
    penguins: ModelVersion, reader: User, settings: Any, client: Any, wrong: str
) -> None:
    settings.MLSERVE_RATE_ADDRESS = Rate(3, 3600)
    _, secret = make_token(reader, name="t", scopes=["predict"], days=1, created_by="")
    statuses = [client().get("/api/models", HTTP_AUTHORIZATION=wrong).status_code for _ in range(5)]

    assert statuses == [401, 401, 401, 429, 429]
    assert client().get("/api/models", HTTP_AUTHORIZATION=f"Bearer {secret}").status_code == 200


def test_it_refuses_before_the_body_is_read(penguins: ModelVersion, settings: Any) -> None:
    settings.MLSERVE_RATE_ADDRESS = Rate(1, 3600)
    client = Program()
    client.get("/api/models")

    assert client.generic("POST", URL, "{" * 100, content_type="application/json").status_code == 429


def test_it_counts_each_token_by_itself(penguins: ModelVersion, reader: User, settings: Any) -> None:
    settings.MLSERVE_RATE_TOKEN, settings.MLSERVE_RATE_ADDRESS = Rate(2, 3600), Rate(1, 3600)
    secrets = [make_token(reader, name="t", scopes=["predict"], days=1, created_by="")[1] for _ in range(2)]
    client = Program()
    statuses = [
        client.get("/api/models", HTTP_AUTHORIZATION=f"Bearer {secret}").status_code
        for secret in (secrets[0], secrets[0], secrets[0], secrets[1])
    ]

    assert statuses == [200, 200, 429, 200]


def test_it_refuses_forms_of_strangers_and_still_shows_pages(penguins: ModelVersion, settings: Any) -> None:
    settings.MLSERVE_RATE_ADDRESS = Rate(2, 3600)
    client = Client()
    statuses = [client.post("/models/penguins", {"year": "2007"}).status_code for _ in range(3)]

    assert statuses[-1] == 429
    assert 429 not in statuses[:2]
    refused = client.post("/models/penguins", {"year": "2007"})
    assert int(refused.headers["Retry-After"]) > 0
    assert "Expected available in" in refused.content.decode()
    assert client.get("/models/penguins").status_code == 200


def test_it_sets_no_limit_on_a_laptop(settings: Any) -> None:
    assert (settings.MLSERVE_RATE_TOKEN, settings.MLSERVE_RATE_ADDRESS) == (None, None)
