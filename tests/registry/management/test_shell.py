"""The commands as a shell sees them: exit status, streams, signals. A process each, so only what needs one."""

import os
import re
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
    assert done.stderr.startswith("error: The database is not migrated to this release (no such table: ")
    assert re.search(r": run \S*python \S*manage\.py migrate\n$", done.stderr)


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


@pytest.mark.parametrize(
    "command",
    [["migrate"], ["createsuperuser", "--noinput", "--username", "ana", "--email", "a@example.com"], ["showmigrations"],
     ["changepassword", "ana"], ["list_models"], ["make_admin", "ana"]],
    ids=lambda command: command[0],
)  # fmt: skip
def test_it_says_in_one_line_that_the_database_is_away(environment: dict[str, str], command: list[str]) -> None:
    done = manage({**environment, "DATABASE_URL": "postgres://ana:s3cret@127.0.0.1:1/none"}, *command)

    assert done.returncode == 1
    [line] = [line for line in done.stderr.splitlines() if "RuntimeWarning" not in line and "warnings.warn" not in line]
    assert line.startswith("error: The database did not answer (")
    assert "s3cret" not in done.stderr + done.stdout


def test_it_asks_a_new_account_to_wait_for_tables(environment: dict[str, str]) -> None:
    variables = {**environment, "DJANGO_SUPERUSER_PASSWORD": "some-password"}
    done = manage(variables, "createsuperuser", "--noinput", "--username", "ana", "--email", "a@example.com")

    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "error: The database is not migrated to this release" in done.stderr


def test_it_shows_the_traceback_that_is_asked_for(environment: dict[str, str]) -> None:
    done = manage({**environment, "DATABASE_URL": "postgres://127.0.0.1:1/none"}, "migrate", "--traceback")

    assert "Traceback" in done.stderr


@pytest.mark.parametrize("command", ["help", "help migrate", "showmigrations", "migrate --plan", "list_models --help"])
def test_it_ends_quietly_when_its_output_is_not_read(environment: dict[str, str], command: str) -> None:
    """As `… | head` does once it has enough."""
    with subprocess.Popen(
        [sys.executable, "manage.py", *command.split()],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()

    assert err == b""


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_it_works_with_closed_streams(environment: dict[str, str], closed: str) -> None:
    shell = f'"$0" manage.py migrate -v0 {closed} && "$0" manage.py make_admin ana {closed}'
    done = subprocess.run(["sh", "-c", shell, sys.executable], cwd=ROOT, env=environment, check=False)

    assert done.returncode == 0
    assert "No model is registered yet" in manage(environment, "list_models").stdout
