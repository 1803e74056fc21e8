"""The inspection's child process: what hostile or broken artifacts cannot do."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import pytest

from registry.inspection import Submission, inspect
from tests import pipelines
from tests.registry.test_inspection import failure_of, two_columns

Save = Callable[..., Path]


@pytest.fixture
def hostile(tmp_path: Path) -> Callable[[str], Submission]:
    """`hostile(code)`: an artifact that runs the code when it is loaded."""

    def submission(code: str) -> Submission:
        path = tmp_path / "hostile.joblib"
        joblib.dump(pipelines.RunsWhenLoaded(code), path)
        return Submission(path)

    return submission


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    made = tmp_path / "temporary"
    made.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(made))
    return made


def test_it_ends_a_file_that_takes_for_ever(hostile: Any, settings: Any) -> None:
    settings.MLSERVE_INSPECTION_SECONDS = 2
    started = time.monotonic()

    failed = failure_of(hostile("import time; time.sleep(60)"))

    assert failed.name == "loads"
    assert failed.detail == "It did not finish within 2 s."
    assert time.monotonic() - started < 20


def test_it_ends_a_file_that_takes_more_than_its_cpu_time(hostile: Any, settings: Any) -> None:
    """Two threads use it up before the clock does; the report must not speak of memory."""
    settings.MLSERVE_INSPECTION_SECONDS = 6
    code = (
        "import hashlib, threading\ndata = bytes(2**26)\ndef work():\n  while True: hashlib.sha256(data)\n"
        "threading.Thread(target=work).start()\nwork()"
    )

    failed = failure_of(hostile(f"exec({code!r}, {{}})"))

    assert failed.name == "loads"
    assert failed.detail in {"It used more than 6 s of CPU time.", "It did not finish within 6 s."}


def test_it_ends_a_file_that_takes_too_much_memory(hostile: Any, settings: Any) -> None:
    settings.MLSERVE_INSPECTION_BYTES = 2 * 2**30

    failed = failure_of(hostile("data = bytes(4 * 2**30)"))

    assert failed.name == "loads"
    assert "needs more memory than is allowed" in failed.detail
    assert "MLSERVE_INSPECTION_BYTES" in failed.fix


@pytest.mark.parametrize(
    ("code", "detail"),
    [
        ("import os; os._exit(0)", "The inspection ended without a result."),
        ("import os; os._exit(7)", "Its process ended with status 7: no message."),
        ("import os; print('bye', flush=True); os._exit(7)", "Its process ended with status 7: bye."),
        ("raise SystemExit('enough')", "Its process ended with status 1: enough."),
        ("import os; os.kill(os.getpid(), 9)", "It was killed, most likely because the machine ran out of memory."),
        ("import os; os.kill(os.getpid(), 11)", "Its process crashed with signal SIGSEGV."),
        ("import os; os.abort()", "Its process crashed with signal SIGABRT."),
    ],
    ids=["exit 0", "exit 7", "message", "SystemExit", "killed", "segmentation fault", "abort"],
)
def test_it_survives_a_file_that_ends_its_process(hostile: Any, code: str, detail: str) -> None:
    failed = failure_of(hostile(code))

    assert failed.name == "loads"
    assert failed.detail == detail


def test_it_survives_a_file_that_prints_a_lot(hostile: Any) -> None:
    code = "import os\nfor _ in range(2000): print('x' * 100_000)\nprint('the end', flush=True)\nos._exit(3)"

    failed = failure_of(hostile(code))

    assert failed.detail == "Its process ended with status 3: the end."


def test_it_bounds_what_a_file_writes(hostile: Any) -> None:
    """A disk filled to its end stops the whole service."""
    failed = failure_of(hostile("open('large', 'wb').write(bytes(2**29))"))

    assert failed.name == "loads"
    assert "too large" in failed.detail


def test_it_survives_a_file_that_scribbles_over_the_report(hostile: Any) -> None:
    failed = failure_of(hostile("import os; open('result.jsonl', 'w').write('{\"check\": '); os._exit(0)"))

    assert failed.name == "loads"


def test_it_ends_what_a_file_has_started(hostile: Any, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    code = f"import subprocess; subprocess.Popen(['sh', '-c', 'sleep 3; touch {witness}'])"

    failure_of(hostile(code))

    time.sleep(3.5)
    assert not witness.exists()


def test_it_hides_secrets_from_the_file(hostile: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "AWS_SESSION_TOKEN", "MLSERVE_TOKEN"):
        monkeypatch.setenv(name, "secret")
    seen = tmp_path / "seen"

    failure_of(hostile(f"import os; open({str(seen)!r}, 'w').write('\\n'.join(os.environ))"))

    names = set(seen.read_text().splitlines())
    assert "PATH" in names
    assert not [name for name in names if name.startswith(("SECRET", "AWS", "DATABASE", "MLSERVE", "DEBUG", "DJANGO"))]
    assert "SECRET_KEY" in os.environ


def test_it_gives_the_file_a_home_of_its_own(hostile: Any, tmp_path: Path, folder: Path) -> None:
    seen = tmp_path / "seen"
    code = (
        f"import os, tempfile; open({str(seen)!r}, 'w').write(os.getcwd() + os.environ['HOME'] + tempfile.gettempdir())"
    )

    failure_of(hostile(code))

    assert seen.read_text().count(str(folder)) == 3


@pytest.mark.parametrize("code", ["pass", "import os; os._exit(1)", "open('left', 'w'); import time; time.sleep(60)"])
def test_it_leaves_no_temporary_folder(hostile: Any, folder: Path, settings: Any, code: str) -> None:
    settings.MLSERVE_INSPECTION_SECONDS = 5

    inspect(hostile(code))

    assert list(folder.iterdir()) == []


def test_it_leaves_no_temporary_folder_of_an_accepted_file(save: Save, folder: Path) -> None:
    assert inspect(Submission(save(two_columns()))).report.is_accepted

    assert list(folder.iterdir()) == []
