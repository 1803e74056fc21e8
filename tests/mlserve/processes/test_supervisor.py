"""The supervisor, with real processes."""

import dataclasses
import os
import signal
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mlserve.processes.children import Child, execute
from mlserve.processes.supervisor import DEATHS, Program, Supervisor
from tests.waiting import wait_until

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def program(folder: Path, name: str, code: str, *, stop_seconds: float = 10) -> Program:
    """A Python program that begins by writing its pid to <folder>/<name>.pids."""
    note = f"import os, time, signal, sys; open({str(folder / name)!r} + '.pids', 'a').write(f'{{os.getpid()}}\\n')\n"
    command = [sys.executable, "-c", note + textwrap.dedent(code)]
    return Program(name, lambda: execute(command), stop_seconds)


def run(supervisor: Supervisor, beside: Callable[[], None]) -> int:
    """Run it here, where signals arrive, with `beside` in a thread."""
    thread = threading.Thread(target=beside)
    thread.start()
    try:
        return supervisor.run()
    finally:
        thread.join()


def pids(folder: Path, name: str, *, at_least: int = 1) -> list[int]:
    """The pids that the program had so far, waiting until there are enough."""
    path = folder / f"{name}.pids"

    def started() -> list[int]:
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    wait_until(lambda: len(started()) >= at_least, f"{name} to be started {at_least} times")
    return started()


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


FOREVER = "time.sleep(600)"
NOTES_ITS_END = """
def end(*_):
    open({path!r}, 'a').write({name!r} + ' ')
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
time.sleep(600)
"""


def test_it_stops_in_reverse_order(tmp_path: Path) -> None:
    ends = tmp_path / "ends"
    programs = [
        program(tmp_path, name, NOTES_ITS_END.format(path=str(ends), name=name)) for name in ("first", "second")
    ]
    supervisor = Supervisor(programs)

    def stop_when_both_run() -> None:
        pids(tmp_path, "first")
        pids(tmp_path, "second")
        time.sleep(0.3)  # until both have their handlers
        supervisor.ask_to_stop()

    assert run(supervisor, stop_when_both_run) == 0
    assert ends.read_text() == "second first "


def test_it_starts_again_what_dies(tmp_path: Path) -> None:
    supervisor = Supervisor([program(tmp_path, "fragile", FOREVER)])

    def kill_once() -> None:
        os.kill(pids(tmp_path, "fragile")[0], signal.SIGKILL)
        pids(tmp_path, "fragile", at_least=2)
        supervisor.ask_to_stop()

    assert run(supervisor, kill_once) == 0


def test_it_stops_everything_when_one_dies_for_good(tmp_path: Path) -> None:
    supervisor = Supervisor([program(tmp_path, "steady", FOREVER), program(tmp_path, "broken", "sys.exit(3)")])

    assert supervisor.run() == 1
    assert len(pids(tmp_path, "broken")) == DEATHS
    assert not exists(pids(tmp_path, "steady")[0])


def test_it_starts_again_what_asks_for_it_however_often(tmp_path: Path) -> None:
    asking = program(tmp_path, "asking", "sys.exit(75)")
    asking = dataclasses.replace(asking, restart_status=75)
    supervisor = Supervisor([asking], clock=lambda: time.monotonic() * 20)  # pauses are long otherwise

    def stop_after_many() -> None:
        pids(tmp_path, "asking", at_least=DEATHS + 2)
        supervisor.ask_to_stop()

    assert run(supervisor, stop_after_many) == 0


def test_it_tries_again_what_cannot_be_started_for_the_moment(tmp_path: Path) -> None:
    fragile, starts = program(tmp_path, "fragile", FOREVER), list[int]()

    def start() -> Child:
        starts.append(len(starts))
        if len(starts) == 2:
            raise BlockingIOError("Resource temporarily unavailable")
        return fragile.start()

    supervisor = Supervisor([dataclasses.replace(fragile, start=start)])

    def kill_once() -> None:
        os.kill(pids(tmp_path, "fragile")[0], signal.SIGKILL)
        pids(tmp_path, "fragile", at_least=2)
        supervisor.ask_to_stop()

    assert run(supervisor, kill_once) == 0
    assert starts == [0, 1, 2]


def test_it_kills_what_does_not_stop_in_time(tmp_path: Path) -> None:
    stubborn = program(
        tmp_path, "stubborn", "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)", stop_seconds=0.3
    )
    supervisor = Supervisor([stubborn])

    def stop() -> None:
        pids(tmp_path, "stubborn")
        time.sleep(0.2)
        supervisor.ask_to_stop()

    assert run(supervisor, stop) == 0
    assert not exists(pids(tmp_path, "stubborn")[0])


def test_it_hurries_when_asked_twice(tmp_path: Path) -> None:
    stubborn = program(
        tmp_path, "stubborn", "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)", stop_seconds=60
    )
    supervisor = Supervisor([stubborn])
    started = time.monotonic()

    def stop_twice() -> None:
        pids(tmp_path, "stubborn")
        supervisor.ask_to_stop()
        supervisor.ask_to_stop()

    run(supervisor, stop_twice)

    assert time.monotonic() - started < 30


def test_it_looks_again_and_again_while_programs_run(tmp_path: Path) -> None:
    supervisor = Supervisor([program(tmp_path, "steady", FOREVER)])
    looks: list[int] = []

    def look() -> None:
        looks.append(len(looks))
        if len(looks) == 3:
            supervisor.ask_to_stop()

    assert supervisor.run(look) == 0
    assert looks == [0, 1, 2]


def test_it_leaves_no_grandchildren(tmp_path: Path) -> None:
    code = f"""
    import subprocess
    child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])
    open({str(tmp_path / "grandchild.pids")!r}, 'w').write(str(child.pid))
    time.sleep(600)
    """
    supervisor = Supervisor([program(tmp_path, "parent", code)])

    def stop() -> None:
        pids(tmp_path, "grandchild")
        supervisor.ask_to_stop()

    run(supervisor, stop)

    grandchild = pids(tmp_path, "grandchild")[0]
    wait_until(lambda: not exists(grandchild), "the end of the grandchild")


def test_it_goes_on_when_an_ignored_terminal_ends(tmp_path: Path) -> None:
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    supervisor = Supervisor([program(tmp_path, "only", FOREVER)])

    def beside() -> None:
        pids(tmp_path, "only")
        os.kill(os.getpid(), signal.SIGHUP)
        time.sleep(0.5)
        seen.append(exists(pids(tmp_path, "only")[0]))
        os.kill(os.getpid(), signal.SIGTERM)

    seen: list[bool] = []
    try:
        assert run(supervisor, beside) == 0
        assert seen == [True]
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
