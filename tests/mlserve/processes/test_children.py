"""Children that are executed or forked, as real processes."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mlserve.processes.children import CAN_FORK, Child, execute, fork
from tests.paths import ROOT
from tests.waiting import wait_until

# The suite's own threads are none of what the children use.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

Start = Callable[[str], Child]


def executed(code: str) -> Child:
    return execute([sys.executable, "-c", code])


def forked(code: str) -> Child:
    return fork("test", lambda: exec(code))


forks = pytest.mark.skipif(not CAN_FORK, reason="forking a whole service is safe on Linux only")
each_way = pytest.mark.parametrize("start", [pytest.param(executed), pytest.param(forked, marks=forks)])


def status_of(child: Child) -> int:
    wait_until(lambda: child.poll() is not None, "the end of the child")
    status = child.poll()
    assert status is not None
    child.kill_all()
    return status


def is_running(pid: int) -> bool:
    """A zombie, which no process of this container waits for, counts as gone."""
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], check=False, capture_output=True, text=True)
    return bool(done.stdout.strip()) and not done.stdout.startswith("Z")


@each_way
@pytest.mark.parametrize(("code", "status"), [("pass", 0), ("raise SystemExit(3)", 3)])
def test_it_gives_the_exit_status(start: Start, code: str, status: int) -> None:
    assert status_of(start(code)) == status


@each_way
def test_it_gives_the_signal_that_ended_it(start: Start) -> None:
    child = start("import time; time.sleep(600)")
    os.kill(child.pid, signal.SIGKILL)

    assert status_of(child) == -signal.SIGKILL


@each_way
def test_it_leads_a_session_that_ctrl_c_does_not_reach(start: Start, tmp_path: Path) -> None:
    noted = tmp_path / "session"
    child = start(f"import os, time; open({str(noted)!r}, 'w').write(f'{{os.getsid(0)}}.'); time.sleep(600)")
    wait_until(lambda: noted.exists() and noted.read_text().endswith("."), "the note")
    child.kill_all()

    assert noted.read_text() == f"{child.pid}."


@each_way
def test_it_kills_grandchildren_too(start: Start, tmp_path: Path) -> None:
    noted = tmp_path / "grandchild"
    code = f"""
import subprocess, sys, time
grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open({str(noted)!r}, "w").write(f"{{grandchild.pid}}.")
time.sleep(600)
"""
    child = start(code)
    wait_until(lambda: noted.exists() and noted.read_text().endswith("."), "the note")
    child.kill_all()

    wait_until(lambda: not is_running(int(noted.read_text()[:-1])), "the grandchild's end")
    assert child.poll() == -signal.SIGKILL


@forks
def test_it_does_not_treat_signals_as_its_parent_does() -> None:
    noted: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: noted.append(number))
    try:
        child = forked("import time; time.sleep(600)")
        os.kill(child.pid, signal.SIGTERM)

        assert status_of(child) == -signal.SIGTERM
    finally:
        signal.signal(signal.SIGTERM, before)
    assert noted == []


@forks
def test_it_has_a_name_of_its_own(tmp_path: Path) -> None:
    child = forked("import time; time.sleep(600)")
    comm = Path(f"/proc/{child.pid}/comm")

    wait_until(lambda: comm.read_text().strip() == "mlserve test", "the name")
    child.kill_all()


PARENT = """
import sys, time
from mlserve.processes.children import execute, fork
from mlserve.processes.orphans import end_with_input

def main():
    time.sleep(600)

if sys.argv[1] == "forked":
    child = fork("test", main)
else:
    child = execute([sys.executable, "-c", "from mlserve.processes.orphans import end_with_input; import time; "
                     "end_with_input(); time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("way", [pytest.param("executed"), pytest.param("forked", marks=forks)])
def test_it_ends_with_a_parent_that_was_killed(way: str) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, way], stdout=subprocess.PIPE, cwd=ROOT) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()

    wait_until(lambda: not is_running(child), "the end of the orphan")
