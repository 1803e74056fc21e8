"""The short form of `make torture`: some faults, each once, under load; then every prediction is accounted for."""

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.flows.service import ROOT
from tests.requirements import require_program

_MOST_SECONDS = 600


@pytest.fixture(autouse=True)
def _programs(pytestconfig: pytest.Config) -> None:
    if sys.platform != "linux":
        pytest.skip("the torture reads /proc and so needs Linux")
    if pytestconfig.option.database == "postgres":
        how_to_get = "apt-get install redis-server, brew install redis"
        require_program("redis-server", how_to_get, also_called=("valkey-server",))


def test_it_loses_nothing_whatever_is_done_to_it(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    database, figures = pytestconfig.option.database, tmp_path / "torture.json"
    command = [sys.executable, "-m", "tests.torture", "--short", "--database", database, "--json", str(figures)]

    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as torture:
        patience = threading.Timer(_MOST_SECONDS, torture.terminate)  # then it stops what it has started
        patience.start()
        output, _ = torture.communicate()
        patience.cancel()

    assert torture.returncode == 0, output
    result: dict[str, Any] = json.loads(figures.read_text())
    assert result["violations"] == []
    assert result["counts"]["accepted"] > 100
    assert {each["injected"] for each in result["figures"].values()} == {1}
