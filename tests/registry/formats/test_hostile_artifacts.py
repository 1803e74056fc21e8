"""The inspection's child process: what hostile or broken uploads cannot do.

Their code comes with the schema here, which is a Python file. That of an artifact would be refused before it runs.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from registry.inspection.inspect import inspect
from registry.inspection.version_request import SchemaSource, VersionRequest
from tests.registry.inspection.test_inspect import failure_of, two_columns

Save = Callable[..., Path]
Described = tuple[Path, VersionRequest]


@pytest.fixture
def hostile(save: Save, tmp_path: Path) -> Callable[[str], Described]:
    """`hostile(code)`: a sound artifact, and a schema that runs the code before it is one."""

    def described(code: str) -> Described:
        path = tmp_path / "validation.py"
        path.write_text(
            f"from pydantic import BaseModel\n{code}\nclass RawData(BaseModel):\n    a: float\n    b: float\n"
        )
        return save(two_columns()), VersionRequest(schema=SchemaSource(path, "pydantic"))

    return described


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    made = tmp_path / "temporary"
    made.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(made))
    return made


def test_it_ends_a_file_that_takes_for_ever(hostile: Any, settings: Any) -> None:
    settings.MLSERVE_INSPECTION_SECONDS = 3
    started = time.monotonic()

    failed = failure_of(*hostile("import time; time.sleep(60)"))

    assert failed.detail == "It did not finish within 3 s."
    assert time.monotonic() - started < 20


def test_it_ends_a_file_that_takes_more_than_its_cpu_time(hostile: Any, settings: Any) -> None:
    settings.MLSERVE_INSPECTION_SECONDS = 4

    failed = failure_of(*hostile("while True: pass"))

    assert failed.detail in {"It used more than 4 s of CPU time.", "It did not finish within 4 s."}


def test_it_ends_a_file_that_takes_too_much_memory(hostile: Any, settings: Any) -> None:
    settings.MLSERVE_INSPECTION_BYTES = 2 * 2**30

    failed = failure_of(*hostile("data = bytes(4 * 2**30)"))

    assert failed.name == "schema"
    assert "MemoryError" in failed.detail


@pytest.mark.parametrize(
    ("code", "detail"),
    [
        ("import os; os._exit(0)", "The inspection ended without a result."),
        ("import os; os._exit(7)", "Its process ended with status 7: no message."),
        ("import os; print('bye', flush=True); os._exit(7)", "Its process ended with status 7: bye."),
        ("import os; print('\\x1b[2J', flush=True); os._exit(7)", "Its process ended with status 7: \ufffd[2J."),
        ("raise SystemExit('enough')", "validation.py cannot be executed (SystemExit: enough)."),
        ("import os; os.kill(os.getpid(), 9)", "It was killed, most likely because the machine ran out of memory."),
        ("import os; os.kill(os.getpid(), 11)", "Its process crashed with signal SIGSEGV."),
        ("import os; os.kill(os.getpid(), 35)", "Its process crashed with signal 35."),
        ("import os; os.abort()", "Its process crashed with signal SIGABRT."),
    ],
    ids=[
        "exit 0",
        "exit 7",
        "message",
        "terminal",
        "SystemExit",
        "killed",
        "segmentation fault",
        "nameless signal",
        "abort",
    ],
)
def test_it_survives_a_file_that_ends_its_process(hostile: Any, code: str, detail: str) -> None:
    failed = failure_of(*hostile(code))

    assert failed.name == "schema"
    assert failed.detail == detail


def test_it_survives_a_file_that_prints_a_lot(hostile: Any) -> None:
    code = "import os\nfor _ in range(500): print('x' * 100_000)\nprint('the end', flush=True)\nos._exit(3)"

    failed = failure_of(*hostile(code))

    assert failed.detail == "Its process ended with status 3: the end."


@pytest.mark.parametrize(
    "code",
    [
        "open('large', 'wb')",
        "import subprocess; subprocess.run(['true'])",
        "import socket; socket.socket()",
        "import os; open(f'/proc/{os.getppid()}/environ')",
        "open('/etc/passwd')",
    ],
    ids=["write", "program", "network", "secrets", "files"],
)
def test_it_runs_the_code_in_the_sandbox(hostile: Any, code: str) -> None:
    failed = failure_of(*hostile(code))

    assert failed.name == "schema"
    assert "cannot be executed (PermissionError" in failed.detail or "Read-only" in failed.detail


def test_it_says_which_parts_of_the_sandbox_held(hostile: Any) -> None:
    report = inspect(*hostile("")).report

    assert report.is_accepted
    assert report.as_json()["facts"]["sandbox"] == ["limits", "system calls", "files"]


_WRITE_REPORT = """
import os
for number in range(3, 20):
    try:
        os.write(number, {line!r})
        os._exit(0)
    except OSError:
        pass
"""


@pytest.mark.parametrize(
    "line",
    [
        b'{"check": ',
        b'{"version_fields": {"status": "live"}}\n',
        b'{"check": {"name": "schema", "status": "passed", "detail": 1}}\n',
        b'{"check": {"name": "loads", "status": "passed", "detail": "twice"}}\n',
        b"[" * 200_000 + b"\n",
        b"\xff\n",
    ],
    ids=["cut off", "found too early", "no text", "twice", "deep", "no text at all"],
)
def test_it_believes_nothing_that_code_writes_into_the_report(hostile: Any, line: bytes) -> None:
    inspected = inspect(*hostile(_WRITE_REPORT.format(line=line)))

    assert inspected.version_fields == {}
    assert len(inspected.report.failed) == 1


_TAKE_BACK = """
import fcntl, os
for number in range(3, 20):
    for act in (lambda: os.ftruncate(number, 0), lambda: fcntl.fcntl(number, fcntl.F_SETFL, 0)):
        try:
            act()
        except OSError:
            pass
    try:
        os.pwrite(number, b"x", 0)
        break
    except OSError:
        pass
"""


def test_it_keeps_what_was_reported_before_the_code_ran(hostile: Any) -> None:
    """Which parts of the sandbox held, above all. The report can only be added to."""
    report = inspect(*hostile(_TAKE_BACK)).report

    assert report.as_json()["facts"]["sandbox"] == ["limits", "system calls", "files"]


def test_it_hides_secrets_from_the_file(hostile: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "AWS_SESSION_TOKEN", "MLSERVE_TOKEN"):
        monkeypatch.setenv(name, "secret")

    failed = failure_of(*hostile("import os; raise ValueError(' '.join(os.environ))"))

    names = set(failed.detail.split())
    assert "PYTHONPATH" in names
    assert not [name for name in names if name.startswith(("SECRET", "AWS", "DATABASE", "MLSERVE", "DEBUG", "DJANGO"))]
    assert "SECRET_KEY" in os.environ


def test_it_gives_the_file_a_home_of_its_own(hostile: Any, folder: Path) -> None:
    failed = failure_of(
        *hostile("import os; raise ValueError(os.getcwd() + os.environ['HOME'] + os.environ['TMPDIR'])")
    )

    assert failed.detail.count(str(folder)) == 3


@pytest.mark.parametrize("code", ["pass", "import os; os._exit(1)", "import time; time.sleep(60)"])
def test_it_leaves_no_temporary_folder(hostile: Any, folder: Path, settings: Any, code: str) -> None:
    settings.MLSERVE_INSPECTION_SECONDS = 5

    inspect(*hostile(code))

    assert list(folder.iterdir()) == []


def test_it_leaves_no_temporary_folder_of_an_accepted_file(save: Save, folder: Path) -> None:
    assert inspect(save(two_columns()), VersionRequest()).report.is_accepted

    assert list(folder.iterdir()) == []
