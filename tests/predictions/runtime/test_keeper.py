"""What the keeper does for its model host, with a real one; what it does for versions is in the tests of each part."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mlserve.processes.temporary_folders import temporary_folder
from predictions.model_host.client import HostClient
from predictions.model_host.start import SOCKET, end_host, start_host
from predictions.runtime import host_access, keeper
from predictions.runtime.keeper import Keeper
from tests.waiting import wait_until

Host = subprocess.Popen[bytes]


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with temporary_folder("keeper") as folder:
        address = folder / SOCKET
        monkeypatch.setenv(host_access.ADDRESS_VARIABLE, str(address))
        monkeypatch.setattr(host_access._Access, "client", HostClient(address))
        yield address
        host_access.client().close()


@pytest.fixture
def looking_after(address: Path) -> Iterator[Keeper]:
    looking_after = Keeper()
    yield looking_after
    looking_after._listener.close()


@pytest.fixture
def host(looking_after: Keeper) -> Iterator[Host]:
    host = start_host(looking_after._listener, host_access.host_options())
    assert host_access.client().state()["processes"] == []
    yield host
    end_host(host)


def test_it_leaves_a_host_alone_that_answers(looking_after: Keeper, host: Host) -> None:
    looking_after._end_if_useless(host)

    assert host.poll() is None


def test_it_replaces_a_host_that_stands_still(
    looking_after: Keeper, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "_ANSWERS_WITHIN_SECONDS", 0.3)
    os.kill(host.pid, signal.SIGSTOP)

    looking_after._end_if_useless(host)
    assert host.wait(10) == -signal.SIGKILL
    next_one = looking_after._restarted(host)

    try:
        assert host_access.client().state()["pid"] == next_one.pid != host.pid
    finally:
        end_host(next_one)


def test_it_replaces_a_host_that_nobody_finds(looking_after: Keeper, host: Host, address: Path) -> None:
    address.unlink()

    looking_after._end_if_useless(host)
    host.wait(10)
    next_one = looking_after._restarted(host)

    try:
        with closing(HostClient(address)) as client:
            assert client.state()["pid"] == next_one.pid
    finally:
        end_host(next_one)


def test_it_waits_longer_before_each_host_that_ends_at_once(
    looking_after: Keeper, host: Host, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(keeper, "_LONGEST_PAUSE_SECONDS", 0.5)
    host.kill()
    host.wait(10)

    started = [looking_after._restarted(host) for _ in range(4)]

    for each in started:
        end_host(each)
    assert re.findall(r"again in (\S+) s", caplog.text) == ["0.2", "0.4", "0.5", "0.5"]


def test_it_looks_after_versions_again_whatever_happened(
    looking_after: Keeper, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The thread must not end: new versions would not be warmed or checked any more."""
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        if threading.current_thread() is threading.main_thread():
            pauses.append(seconds)
            looking_after._is_stopping = len(pauses) == 3

    def fail() -> None:
        raise RuntimeError("cannot look")

    monkeypatch.setattr("predictions.runtime.keeper.time.sleep", sleep)
    monkeypatch.setattr(keeper, "check_live_versions", lambda _is_over: len(pauses) != 1)
    monkeypatch.setattr(keeper, "warm_models", lambda: fail() if len(pauses) == 2 else None)

    looking_after._look_after_versions()

    assert pauses == [keeper._SEARCH_SECONDS, keeper._RETRY_SECONDS, keeper._RETRY_SECONDS]
    assert "cannot look" in caplog.text


def test_it_ends_its_host_when_it_is_told_to(address: Path) -> None:
    """As a process of its own, as `serve` starts it."""
    code = (
        "import os, sys, django; os.environ['DJANGO_SETTINGS_MODULE'] = 'tests.settings'; django.setup();"
        "from predictions.runtime import keeper; keeper.Keeper._look_after_versions = lambda self: None;"
        "keeper.Keeper().run()"
    )
    environment = {**os.environ, host_access.ADDRESS_VARIABLE: str(address)}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment)
    wait_until(address.exists)
    pid = host_access.client().state()["pid"]

    process.terminate()

    assert process.wait(20) == 0
    wait_until(lambda: not Path(f"/proc/{pid}").exists())
