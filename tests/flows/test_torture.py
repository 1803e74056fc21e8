"""`make torture`: faults under load, some of them once or all of them for long; every prediction is accounted for."""

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.flows.service import ROOT
from tests.requirements import require_program


@pytest.fixture(autouse=True)
def _programs(database: str) -> None:
    if sys.platform != "linux":
        pytest.skip("the torture reads /proc and so needs Linux")
    if database == "postgres":
        how_to_get = "apt-get install redis-server, brew install redis"
        require_program("redis-server", how_to_get, also_called=("valkey-server",))


@pytest.mark.parametrize(
    ("form", "most_seconds"),
    [(["--short"], 600), pytest.param(["--minutes", "10"], 3600, marks=pytest.mark.long)],
    ids=["short", "long"],
)
def test_it_loses_nothing_whatever_is_done_to_it(
    database: str, tmp_path: Path, form: list[str], most_seconds: int
) -> None:
    figures = tmp_path / "torture.json"
    command = [sys.executable, "-m", "tests.torture", *form, "--database", database, "--json", str(figures)]

    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as torture:
        patience = threading.Timer(most_seconds, torture.terminate)  # then it stops what it has started
        patience.start()
        output, _ = torture.communicate()
        patience.cancel()

    assert torture.returncode == 0, output
    result: dict[str, Any] = json.loads(figures.read_text())
    assert result["violations"] == []
    assert result["counts"]["accepted"] > 100
    injected = [each["injected"] for each in result["figures"].values()]
    assert injected
    assert all(injected)
