import os
import sys
from pathlib import Path

import pytest

from benchmark import processes
from benchmark.programs import DidNotStart, Program, run_to_end
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmark reads Linux's /proc")
_PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("ready", flush=True)
child.wait()
"""


def run(code: str, folder: Path) -> Program:
    return Program("the program", [sys.executable, "-c", code], os.environ, folder / "program.log")


def test_it_shows_the_last_lines_of_what_ends_at_its_start(tmp_path: Path) -> None:
    program = run("print('a reason'); raise SystemExit(3)", tmp_path)

    with pytest.raises(DidNotStart, match=r"the program ended at its start \(exit status 3\):\n    a reason"):
        program.wait_until(lambda: False, pause_seconds=0.01)
    program.stop()


def test_it_shows_what_a_failed_command_printed() -> None:
    with pytest.raises(DidNotStart, match=r"failed \(1\):\n    no such model"):
        run_to_end([sys.executable, "-c", "raise SystemExit('no such model')"], os.environ)


def test_it_sees_and_ends_a_program_with_its_children(tmp_path: Path) -> None:
    program = run(_PARENT, tmp_path)
    try:
        program.wait_until(lambda: "ready" in program.last_lines(), pause_seconds=0.01)
        pids = program.pids
        used = processes.memory(pids)
    finally:
        program.stop()

    assert len(pids) == 2
    assert 0 < used.pss_mb <= used.rss_mb
    # The child was killed and is an orphan: the process that adopted it removes it in a moment.
    wait_until(lambda: not processes.alive(pids), "its removal")


def test_it_counts_cpu_time() -> None:
    before = processes.cpu_seconds([os.getpid()])[os.getpid()]
    sum(range(2_000_000))

    assert processes.cpu_seconds([os.getpid()])[os.getpid()] >= before


def test_it_names_processes_without_their_folders() -> None:
    name = processes.command(os.getpid())

    assert name
    assert "/" not in name
