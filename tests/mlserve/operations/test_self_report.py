"""The facts that a function tells about itself."""

from typing import Any

import pytest
from django.db import connection

from mlserve.conf.secret_key import fingerprint
from mlserve.operations.self_report import self_report
from predictions.queue import heartbeat, wake_ups
from registry.models import ModelVersion

pytestmark = pytest.mark.django_db


def test_it_tells_every_part(penguins: ModelVersion) -> None:
    facts = self_report()

    assert [name for name, part in facts.items() if "error" in part] == []
    assert facts["migrations"] == {"missing": []}
    assert facts["queue"] == {"kind": "orm"}


def test_it_names_the_live_models_and_what_they_were_inspected_with(penguins: ModelVersion) -> None:
    (live,) = self_report()["models"]["live"]

    assert live["version"] == "penguins 1.0"
    assert live["size_bytes"] == penguins.size_bytes
    assert live["inspected_with"]["scikit-learn"] == self_report()["process"]["packages"]["scikit-learn"]


def test_it_tells_what_is_down_and_goes_on(monkeypatch: Any) -> None:
    def refuse() -> None:
        raise ConnectionError("broker gone")

    monkeypatch.setattr(wake_ups, "ping", refuse)

    facts = self_report()

    assert facts["queue"] == {"error": "ConnectionError: broker gone"}
    assert "error" not in facts["database"]


def test_it_counts_administrators_and_workers(owner: Any, reader: Any) -> None:
    heartbeat.see_this_worker()

    facts = self_report()

    assert facts["people"] == {"administrators": 1}
    assert facts["waiting"] == {"oldest_queued_seconds": 0.0, "workers_seen": 1}


def test_it_tells_how_many_connections_the_server_allows() -> None:
    database = self_report()["database"]

    assert database["vendor"] == connection.vendor
    if connection.vendor == "postgresql":
        assert database["max_connections"] > database["used_connections"] > 0
        assert database["skew_seconds"] < 1


def test_it_never_tells_the_key(settings: Any) -> None:
    settings.SECRET_KEY = "k" * 30 + "only-known-inside-and-nowhere-else"

    text = repr(self_report())

    assert settings.SECRET_KEY not in text
    assert fingerprint(settings.SECRET_KEY) in text
