"""No process of a function outlives the tests, also when those are killed."""

import subprocess
import sys
from pathlib import Path

from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parent.parent.parent
# Stopped, as a function is between two events, and held by a process that is killed itself.
_KILLED = """
import os, signal, subprocess
from tests.stand_ins.keeper import Keeper

held = subprocess.Popen(["sleep", "60"], start_new_session=True, stdout=subprocess.DEVNULL)
held.send_signal(signal.SIGSTOP)
Keeper().watch(held.pid)
print(held.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_it_ends_processes_with_a_killed_test() -> None:
    done = subprocess.run([sys.executable, "-c", _KILLED], cwd=ROOT, capture_output=True, text=True, check=False)

    wait_until(lambda: _has_ended(done.stdout.strip()), "the end of the process")


def _has_ended(pid: str) -> bool:
    """A zombie waits for its parent alone."""
    shown = subprocess.run(["ps", "-o", "stat=", "-p", pid], capture_output=True, text=True, check=False)
    return shown.stdout.strip()[:1] in ("", "Z")
