"""The markers of processes that a model ended: real processes, ended in each way."""

import subprocess
import sys
from pathlib import Path

import pytest

from predictions.runtime import call_marker
from tests.paths import ROOT

_BEGIN = """
import ctypes, os, sys, time
from itertools import repeat
from pathlib import Path
from predictions.runtime import call_marker
call_marker.begin(Path(sys.argv[1]), "here:1")
"""


def run(folder: Path, code: str) -> int:
    """The exit status of a process that does this."""
    command = [sys.executable, "-c", f"{_BEGIN}\n{code}", str(folder)]
    return subprocess.run(command, cwd=ROOT, check=False, timeout=60).returncode


def test_it_names_the_version_that_a_killed_process_called(tmp_path: Path) -> None:
    code = "with call_marker.noted(call_marker.CALL, 7): os.kill(os.getpid(), 9)"

    assert run(tmp_path, code) == -9
    [note] = call_marker.left_behind(tmp_path)
    assert (note.version_id, note.what, note.process, note.dump) == (7, "call", "here:1", "")
    assert call_marker.left_behind(tmp_path) == []  # found once


def test_it_stores_where_a_process_crashed(tmp_path: Path) -> None:
    run(tmp_path, "with call_marker.noted(call_marker.LOAD, 8): ctypes.string_at(0)")

    [note] = call_marker.left_behind(tmp_path)
    assert (note.version_id, note.what) == (8, "load")
    assert note.dump.startswith("Fatal Python error: Segmentation fault")


def test_it_ends_a_process_whose_interpreter_is_held(tmp_path: Path) -> None:
    code = "call_marker.end_if_frozen(0.3)\nwith call_marker.noted(call_marker.CALL, 9): sum(repeat(0))"

    assert run(tmp_path, code) == 1
    [note] = call_marker.left_behind(tmp_path)
    assert note.version_id == 9
    assert note.dump.startswith("Timeout")


@pytest.mark.parametrize("end", ["", "os._exit(3)", "call_marker.forget(); os._exit(3)"])
def test_it_finds_nothing_after_a_call_has_ended(tmp_path: Path, end: str) -> None:
    run(tmp_path, f"with call_marker.noted(call_marker.CALL, 7): pass\n{end}")

    assert call_marker.left_behind(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_it_leaves_the_notes_of_living_processes_alone(tmp_path: Path) -> None:
    code = "with call_marker.noted(call_marker.CALL, 7): print('x', flush=True); time.sleep(60)"
    command = [sys.executable, "-c", f"{_BEGIN}\n{code}", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        while_it_lives = call_marker.left_behind(tmp_path)
        process.kill()

    assert while_it_lives == []
    assert len(call_marker.left_behind(tmp_path)) == 1


def test_it_continues_without_a_marker_where_it_cannot_write(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert run(tmp_path / "file", "with call_marker.noted(call_marker.CALL, 7): pass") == 0


def test_it_tells_a_call_that_was_interrupted_from_one_that_failed() -> None:
    for error in (ValueError(), SystemExit()):
        with pytest.raises(type(error)), call_marker.noted(call_marker.CALL, 5):
            raise error

    assert [call_marker.take_interrupted() for _ in range(2)] == [5, None]
