"""The commands as a shell sees them: exit status, streams, signals. A process each, so only what needs one."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT
from tests.waiting import wait_until


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Of a shell with an empty database, which has no tables yet."""
    (tmp_path / "tmp").mkdir()
    return {**os.environ, "DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3", "TMPDIR": str(tmp_path / "tmp")}


def manage(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_it_ends_with_0_when_done(environment: dict[str, str], penguins_artifact: Path) -> None:
    done = manage(environment, "check_model", str(penguins_artifact))

    assert (done.returncode, done.stderr) == (0, "")
    assert "can be uploaded" in done.stdout


def test_it_ends_with_1_and_one_line_when_refused(environment: dict[str, str]) -> None:
    done = manage(environment, "check_model", "README.md", "--schema", "nowhere.json")

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: ")


def test_it_ends_with_2_when_used_wrongly(environment: dict[str, str]) -> None:
    done = manage(environment, "promote_model", "penguins")

    assert done.returncode == 2
    assert "usage: manage.py promote_model" in done.stderr
    assert "required: TAG" in done.stderr


def test_it_asks_for_missing_tables(environment: dict[str, str]) -> None:
    done = manage(environment, "list_models")

    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert "Run `python manage.py migrate`" in done.stderr


def test_it_says_that_the_database_is_down(environment: dict[str, str]) -> None:
    done = manage({**environment, "DATABASE_URL": "postgres://nobody@127.0.0.1:1/none"}, "list_models")

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "The database did not answer" in done.stderr


def test_it_ends_quietly_with_130_on_ctrl_c(
    environment: dict[str, str], penguins_artifact: Path, tmp_path: Path
) -> None:
    slow = tmp_path / "slow.py"
    slow.write_text("import time\n\ntime.sleep(60)\n")
    command = [sys.executable, "manage.py", "check_model", str(penguins_artifact), "--schema", str(slow)]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        wait_until(lambda: list((tmp_path / "tmp").glob("*/output.txt")), "the inspection", seconds=60)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)

    assert (process.returncode, out, err) == (130, b"", b"")


def test_it_survives_a_reader_that_has_read_enough(environment: dict[str, str], penguins_artifact: Path) -> None:
    command = [sys.executable, "manage.py", "check_model", str(penguins_artifact)]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()

    assert err == b""


def test_it_writes_to_a_terminal_that_knows_ascii_only(environment: dict[str, str], penguins_artifact: Path) -> None:
    done = manage({**environment, "PYTHONIOENCODING": "ascii"}, "check_model", str(penguins_artifact))

    assert done.returncode == 0
    assert "\\u2713 passed" in done.stdout
