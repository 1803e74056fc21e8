"""The short form of `make torture`: some faults, each once, under load; then every prediction is accounted for."""

import json
import subprocess
import sys
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

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=_MOST_SECONDS, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    result: dict[str, Any] = json.loads(figures.read_text())
    assert result["violations"] == []
    assert result["counts"]["accepted"] > 100
    assert {each["injected"] for each in result["figures"].values()} == {1}
