"""/healthz and /readyz."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from mlserve.operations import health
from predictions.model_host.client import HostClient
from predictions.queue import heartbeat, wake_ups
from predictions.runtime import host_access
from registry.models import Model, ModelVersion
from registry.models.golden_check import GoldenCheck, Verdict
from registry.sandbox import measurement

pytestmark = pytest.mark.django_db


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """No answer of an earlier test is remembered, and none becomes too old by itself."""
    clock = Clock()
    monkeypatch.setattr(health, "_recent", health.RecentAnswer(health._check_all, clock=clock))
    return clock


def test_it_lives_without_a_database(client: Client, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        response = client.get("/healthz")

    assert (response.status_code, response.json()) == (200, {"status": "live"})


def test_it_is_ready_when_every_part_answers(client: Client, penguins: ModelVersion) -> None:
    heartbeat.see_this_worker()

    response = client.get("/readyz")

    assert response.status_code == 200
    assert {name for name, check in response.json()["checks"].items() if check["ok"]} == {
        "database", "storage", "disk", "queue", "workers", "models", "model_host", "sandbox",
    }  # fmt: skip


def test_it_tells_which_parts_of_the_sandbox_hold(
    client: Client, penguins: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    heartbeat.see_this_worker()
    monkeypatch.setattr(measurement, "parts_in_force", lambda: ("limits",))
    monkeypatch.setattr(health, "parts_in_force", lambda: ("limits",))

    response = client.get("/readyz")

    assert response.status_code == 200
    expected = {"ok": True, "holds": ["limits"], "missing": ["system calls", "files"]}
    assert response.json()["checks"]["sandbox"] == expected


def test_it_is_not_ready_without_a_worker(client: Client, penguins: ModelVersion) -> None:
    response = client.get("/readyz")

    assert response.status_code == 503
    assert "manage.py serve" in response.json()["checks"]["workers"]["detail"]


def test_it_names_the_part_that_is_down(client: Client, penguins: ModelVersion, monkeypatch: Any) -> None:
    def refuse() -> None:
        raise ConnectionError("broker gone")

    heartbeat.see_this_worker()
    monkeypatch.setattr(wake_ups, "ping", refuse)

    body = client.get("/readyz").json()

    assert body["status"] == "not ready"
    assert [name for name, check in body["checks"].items() if not check["ok"]] == ["queue"]


@pytest.mark.parametrize(("is_laptop", "shown"), [(True, "OSError: db.internal is gone"), (False, "OSError; the log")])
def test_it_keeps_names_of_hosts_to_the_log(
    client: Client, settings: Any, monkeypatch: Any, caplog: Any, is_laptop: bool, shown: str
) -> None:
    def refuse() -> None:
        raise OSError("db.internal is gone")

    settings.ON_LAPTOP = is_laptop
    monkeypatch.setattr(wake_ups, "ping", refuse)
    with caplog.at_level("INFO"):
        part = client.get("/readyz").json()["checks"]["queue"]

    assert part["detail"].startswith(shown)
    assert "db.internal is gone" in caplog.text


def test_it_says_that_a_file_of_the_database_was_deleted(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("a server looks after its own files")
    path = tmp_path / "database.sqlite3"
    monkeypatch.setitem(connection.settings_dict, "NAME", str(path))
    with path.open("w"):
        assert client.get("/readyz").json()["checks"]["database"]["ok"]
        path.unlink()
        clock.now += 1

        part = client.get("/readyz").json()["checks"]["database"]

    assert not part["ok"]
    assert part["detail"].startswith("database.sqlite3 was deleted or replaced while the service has it open")


def test_it_names_no_bucket(client: Client, settings: Any) -> None:
    settings.MLSERVE_BUCKET = "the-firm-s-bucket"

    assert "the-firm-s-bucket" not in client.get("/readyz").text


def test_it_asks_each_part_once_a_second_however_often_it_is_asked(
    client: Client, penguins: ModelVersion, clock: Clock, django_assert_num_queries: Any
) -> None:
    heartbeat.see_this_worker()
    first = client.get("/readyz").json()
    clock.now += 0.99
    with django_assert_num_queries(0):
        again = client.get("/readyz")

    assert (again.status_code, again.json()) == (200, first)


def test_it_is_never_older_than_a_second(client: Client, penguins: ModelVersion, clock: Clock) -> None:
    assert client.get("/readyz").status_code == 503
    heartbeat.see_this_worker()
    clock.now += 0.5
    assert client.get("/readyz").status_code == 503  # the bad answer is remembered, too
    clock.now += 0.5
    assert client.get("/readyz").status_code == 200


def answers_of_callers(recent: health.RecentAnswer, count: int) -> list[health.Answer]:
    """What callers that ask at the same time are told."""
    answers: list[health.Answer] = []
    callers = [threading.Thread(target=lambda: answers.append(recent())) for _ in range(count)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(30)
    return answers


@pytest.mark.parametrize("seconds", [0.0, 5.0])
def test_it_checks_once_for_all_who_ask_meanwhile(clock: Clock, seconds: float) -> None:
    """Also where a part that does not answer makes the check itself take longer than its answer is kept."""
    checks: list[float] = []

    def check() -> health.Answer:
        time.sleep(0.2)  # for the other callers to come
        clock.now += seconds
        checks.append(clock.now)
        return {"part": {"number": len(checks)}}

    assert answers_of_callers(health.RecentAnswer(check, clock=clock), 8) == [{"part": {"number": 1}}] * 8
    assert len(checks) == 1


def test_it_checks_again_after_a_check_that_raised(clock: Clock) -> None:
    answers: list[health.Answer] = []
    recent = health.RecentAnswer(answers.pop, clock=clock)
    with pytest.raises(IndexError):
        recent()
    answers.append({"part": {"ok": True}})

    assert recent() == {"part": {"ok": True}}


@pytest.fixture
def long_since(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process has been running for a while."""
    monkeypatch.setattr(health, "_STARTED", -1e9)


def models_part(client: Client) -> dict[str, Any]:
    heartbeat.see_this_worker()
    part: dict[str, Any] = client.get("/readyz").json()["checks"]["models"]
    return part


@pytest.mark.parametrize("verdict", [Verdict.DIFFERS, Verdict.FAILED])
def test_it_is_not_ready_with_other_answers(
    client: Client, penguins: ModelVersion, long_since: None, verdict: Verdict
) -> None:
    GoldenCheck.objects.update(verdict=verdict)

    part = models_part(client)

    assert not part["ok"]
    assert "penguins 1.0" in part["detail"]
    assert "manage.py verify_models" in part["detail"]


def test_it_ignores_what_other_environments_found(client: Client, penguins: ModelVersion) -> None:
    GoldenCheck.objects.record(penguins, Verdict.DIFFERS, now=timezone.now())
    GoldenCheck.objects.update(environment="0" * 64)
    GoldenCheck.objects.record(penguins, Verdict.SAME, now=timezone.now())

    assert models_part(client) == {"ok": True, "pending": 0}


def test_it_waits_for_golden_answers_at_its_start(
    client: Client, penguins: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    GoldenCheck.objects.update(environment="0" * 64)
    monkeypatch.setattr(health, "_STARTED", time.monotonic())

    part = models_part(client)

    assert "not asked in this environment yet: penguins 1.0" in part["detail"]
    assert (part["ok"], part["pending"]) == (False, 1)


def test_it_does_not_wait_for_ever(client: Client, penguins: ModelVersion, long_since: None) -> None:
    GoldenCheck.objects.update(environment="0" * 64)

    assert models_part(client) == {"ok": True, "pending": 1}


def test_it_asks_only_what_is_live(client: Client, penguins: ModelVersion, long_since: None) -> None:
    GoldenCheck.objects.update(verdict=Verdict.DIFFERS)
    ModelVersion.objects.update(status=ModelVersion.Status.RETIRED)

    assert models_part(client)["ok"]


def test_it_names_no_private_model(client: Client, penguins: ModelVersion) -> None:
    GoldenCheck.objects.update(verdict=Verdict.DIFFERS)
    Model.objects.update(is_public=False)

    part = models_part(client)

    assert "1 of private models" in part["detail"]
    assert "penguins" not in part["detail"]


def test_it_tells_that_the_model_host_does_not_answer(
    client: Client, penguins: ModelVersion, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(host_access.ADDRESS_VARIABLE, str(tmp_path / "host"))
    monkeypatch.setattr(host_access, "client", lambda: HostClient(tmp_path / "host"))
    monkeypatch.setattr(host_access, "_ANSWERS_WITHIN_SECONDS", 0.1)

    check = client.get("/readyz").json()["checks"]["model_host"]

    assert not check["ok"]
    assert "cannot be reached" in check["detail"]
