"""/healthz and /readyz."""

from typing import Any

import pytest
from django.test import Client

from predictions import queue, workers
from registry.models import ModelVersion

pytestmark = pytest.mark.django_db


def test_it_lives_without_a_database(client: Client, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        response = client.get("/healthz")

    assert (response.status_code, response.json()) == (200, {"status": "live"})


def test_it_is_ready_when_every_part_answers(client: Client, penguins: ModelVersion) -> None:
    workers.see_this_worker()

    response = client.get("/readyz")

    assert response.status_code == 200
    assert {name for name, check in response.json()["checks"].items() if check["ok"]} == {
        "database", "storage", "queue", "workers",
    }  # fmt: skip


def test_it_is_not_ready_without_a_worker(client: Client, penguins: ModelVersion) -> None:
    response = client.get("/readyz")

    assert response.status_code == 503
    assert "manage.py serve" in response.json()["checks"]["workers"]["detail"]


def test_it_names_the_part_that_is_down(client: Client, penguins: ModelVersion, monkeypatch: Any) -> None:
    def refuse() -> None:
        raise ConnectionError("broker gone")

    workers.see_this_worker()
    monkeypatch.setattr(queue, "ping", refuse)

    body = client.get("/readyz").json()

    assert body["status"] == "not ready"
    assert [name for name, check in body["checks"].items() if not check["ok"]] == ["queue"]
