"""Requests made from /api/schema, good ones and bad ones, against a real service: every check of schemathesis."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.flows.service import Service

_CONFIG = Path(__file__).with_name("schemathesis.toml")
# Of the long search; another one: SCHEMATHESIS_SECONDS=600 SCHEMATHESIS_SEED=7.
_LONG_SECONDS = int(os.environ.get("SCHEMATHESIS_SECONDS", "120"))
_SEED = os.environ.get("SCHEMATHESIS_SEED", "1")


@pytest.fixture
def running(own_service: Service) -> Service:
    own_service.environment["MLSERVE_RATE_ADDRESS"] = own_service.environment["MLSERVE_RATE_TOKEN"] = ""
    own_service.launch()
    own_service.wait_for(lambda: own_service.get("/readyz").status_code == 200, "the service to be ready")
    return own_service


@pytest.mark.parametrize("seconds", [4, pytest.param(_LONG_SECONDS, marks=pytest.mark.long, id="long")])
@pytest.mark.parametrize("scope", ["admin", "predict", None])
def test_it_answers_as_its_document_says_whatever_is_sent(running: Service, scope: str | None, seconds: int) -> None:
    headers = []
    if scope is not None:
        token = running.manage("make_token", "admin", "--name", "abuse", "--scope", scope).strip()
        headers = ["--header", f"Authorization: Bearer {token}"]

    found = _search(running, seconds, *headers)

    assert found.returncode == 0, found.stdout[-20_000:]
    assert running.get("/readyz").status_code == 200


def _search(service: Service, seconds: int, *options: str) -> subprocess.CompletedProcess[str]:
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(_CONFIG), "run",
        f"{service.url}/api/schema", "--checks", "all", "--max-time", str(seconds), "--seed", _SEED,
        "--no-color", *options,
    ]  # fmt: skip
    return subprocess.run(
        command, cwd=service.folder, check=False, capture_output=True, text=True, timeout=seconds + 600
    )
