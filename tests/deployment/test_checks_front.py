"""What deploy_check makes of /readyz, asked over HTTP."""

import time
from typing import Any

import pytest
from pytest_django.live_server_helper import LiveServer

from deployment.checks import front
from deployment.findings import Status
from mlserve.operations import health
from registry.models import ModelVersion
from registry.models.golden_check import GoldenCheck, Verdict
from tests.deployment.told import ToldEvidence

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def evidence(live_server: LiveServer, penguins: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Of a service that has begun this moment, with one model and no worker yet."""
    monkeypatch.setattr(health, "_STARTED", time.monotonic())
    told = ToldEvidence()
    monkeypatch.setattr(told, "url", lambda: live_server.url)
    return told


def test_it_waits_for_workers_and_for_models_that_were_not_asked_yet(evidence: ToldEvidence) -> None:
    GoldenCheck.objects.update(environment="0" * 64)

    found = front.ready(evidence)

    assert found.status is Status.WARNING
    assert "not asked in this environment yet: penguins 1.0" in found.found
    assert "no worker was seen lately" in found.found


def test_it_fails_where_a_model_answers_otherwise(evidence: ToldEvidence) -> None:
    GoldenCheck.objects.update(verdict=Verdict.DIFFERS)

    found = front.ready(evidence)

    assert found.status is Status.FAILED
    assert "models: not as inspected in this environment: penguins 1.0" in found.found
