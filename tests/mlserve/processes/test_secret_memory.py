"""What one process of a user can read of another one's secrets."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /proc: run the suite on Linux")

_SECRET = "a-secret-in-the-environment"
_NAMES_AFTER = "import os, subprocess; print(subprocess.run(['env'], capture_output=True, text=True).stdout)"


def environment_of(code: str, *, reader: str = "") -> tuple[str, bytes]:
    """What a process prints that was started with variables, and what its environment is in /proc, afterwards."""
    program = f"from mlserve.processes.secret_memory import *; import os; {code}; print(flush=True); input(); {reader}"
    variables = {"SECRET_KEY": _SECRET, "KEPT": "kept-value", "PATH": os.environ["PATH"]}
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env=variables,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdout.readline()
        seen = Path(f"/proc/{process.pid}/environ").read_bytes()
        told, _ = process.communicate("\n")
    return told, seen


def test_it_would_leave_a_variable_where_the_kernel_shows_it() -> None:
    assert _SECRET.encode() in environment_of("os.environ.pop('SECRET_KEY')")[1]


def test_it_removes_a_variable_from_everywhere() -> None:
    told, seen = environment_of("forget_variables({'SECRET_KEY', 'ABSENT'})", reader=_NAMES_AFTER)

    assert not seen.strip(b"\0")
    assert "SECRET_KEY" not in told


def test_it_keeps_other_variables_for_the_process_and_its_children() -> None:
    told, _ = environment_of("forget_variables({'SECRET_KEY'})", reader=f"print(os.environ['KEPT']); {_NAMES_AFTER}")

    assert told.startswith("kept-value\n")
    assert "KEPT=kept-value" in told


@pytest.mark.skipif(os.getuid() != 0, reason="root looks as another user: run the suite as root")
@pytest.mark.parametrize(("hides", "reached"), [(False, {"environ", "maps", "fd"}), (True, set())])
def test_it_hides_a_process_from_others_of_its_user(hides: bool, reached: set[str]) -> None:
    """Both processes become `nobody`, which hides them at first."""
    program = f"""
import ctypes, os, pathlib, sys
from mlserve.processes.secret_memory import hide_memory
os.setgroups([]); os.setgid(65534); os.setuid(65534)
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
if {hides}:
    hide_memory()
if os.fork() == 0:
    for name in ("environ", "maps", "fd"):
        path = pathlib.Path(f"/proc/{{os.getppid()}}") / name
        try:
            list(path.iterdir()) if name == "fd" else path.read_bytes()
            print(name, flush=True)
        except PermissionError:
            pass
    os._exit(0)
os.wait()
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)

    assert set(done.stdout.split()) == reached
