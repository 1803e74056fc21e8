"""A model whose code is trusted tries every way out of its process; what it reached is looked for from outside."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import joblib
import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from predictions.model_host.errors import ModelEnded, ModelRaised
from registry.sandbox.measurement import missing_parts
from tests.predictions.model_host.escaping import Escaping
from tests.predictions.model_host.running import RunningHost, Version
from tests.registry.sandbox.outside_world import OutsideWorld
from tests.registry.sandbox.ways_out import WAYS
from tests.requirements import everything_is_required
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="other systems have limits only; run the suite on Linux"),
    pytest.mark.skipif(
        bool(missing_parts()) and not everything_is_required(),
        reason="this kernel lacks a part of the sandbox: Linux 5.13 with seccomp and Landlock has all",
    ),
]


@pytest.fixture(scope="module")
def escaping(host: RunningHost, tmp_path_factory: pytest.TempPathFactory) -> Version:
    path = tmp_path_factory.mktemp("escaping") / "model.joblib"
    frame = pd.DataFrame({"act": [""], "x": [0.0]})
    joblib.dump(Pipeline([("model", Escaping())]).fit(frame, [0.0]), path)
    return Version(host.client, "escaping", path)


@pytest.fixture
def world() -> Iterator[OutsideWorld]:
    world = OutsideWorld()
    yield world
    world.close()


@pytest.mark.parametrize("name", sorted(WAYS.keys() - {"use_what_it_inherited"}))
def test_it_lets_no_model_out(name: str, world: OutsideWorld, host: RunningHost, escaping: Version) -> None:
    escaping.load(trusted=["tests.predictions.model_host.escaping"])
    [process] = escaping.processes()
    try:
        answers = escaping.ask(json.dumps([name, asdict(world.targets)]), seconds=5)
        got = "" if answers is None else answers["predictions"][0]
    except (ModelRaised, ModelEnded):
        got = ""
    host.client.forget_all()
    wait_until(lambda: not Path(f"/proc/{process['pid']}").exists())

    assert world.effects(got, process["pid"]) == []


def test_it_leaves_a_model_its_connection_and_where_a_crash_is_written(host: RunningHost, escaping: Version) -> None:
    escaping.load(trusted=["tests.predictions.model_host.escaping"])
    folder = Path(f"/proc/{escaping.processes()[0]['pid']}/fd")

    opened = sorted(str(each.readlink()).partition(":")[0] for each in folder.iterdir())

    assert opened == ["/dev/null", "/dev/null", "/dev/null", "pipe", "socket"]
