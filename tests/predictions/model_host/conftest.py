"""A real host for each module of tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.predictions.model_host.running import RunningHost


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHost]:
    running = RunningHost(tmp_path_factory.mktemp("host"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def small_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHost]:
    """Its cache is full as soon as anything is loaded."""
    running = RunningHost(tmp_path_factory.mktemp("small-host"), limit_bytes=1)
    yield running
    running.stop()


@pytest.fixture
def own_host(tmp_path: Path) -> Iterator[RunningHost]:
    """Of one test, which may end it."""
    running = RunningHost(tmp_path)
    yield running
    running.stop()
