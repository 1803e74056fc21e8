"""What a user of the shell meets: deploy_check, and python -m deployment before it changes anything."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deployment.told import KEY

ROOT = Path(__file__).resolve().parent.parent.parent


def run(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """With an environment of its own, and an AWS that does not answer."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MLSERVE_", "DATABASE"))}
    alone = {
        "AWS_EC2_METADATA_DISABLED": "true", "AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "SECRET_KEY": KEY,
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**kept, **alone, **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def data(tmp_path: Path) -> dict[str, str]:
    return {"MLSERVE_DATA_DIR": str(tmp_path)}


def test_it_checks_without_an_account_and_without_a_traceback(data: dict[str, str]) -> None:
    done = run("manage.py", "deploy_check", "--json", **data)

    rows = {(row["check"], row["stage"]): row for row in json.loads(done.stdout)}
    assert done.returncode == 1
    assert rows["credentials", None]["status"] == "failed"
    assert rows["database-url", None]["fix"].startswith("a function has no disk")
    assert rows["mapping", None]["status"] == "not known"
    assert "Traceback" not in done.stdout + done.stderr


def test_it_shows_a_table_and_names_what_failed(data: dict[str, str]) -> None:
    done = run("manage.py", "deploy_check", **data)

    lines = done.stdout.splitlines()
    assert lines[0].split() == ["Check", "Status", "Found"]
    assert any(line.startswith("credentials") and " → set AWS_ACCESS_KEY_ID" in line for line in lines)
    assert done.stderr.startswith("error: ")
    assert "credentials" in done.stderr.splitlines()[-1]


def test_it_looks_at_one_stage_when_asked(data: dict[str, str]) -> None:
    rows = json.loads(run("manage.py", "deploy_check", "web", "--json", **data).stdout)

    assert {row["stage"] for row in rows} == {None, "web"}


def test_it_knows_two_stages_only(data: dict[str, str]) -> None:
    done = run("manage.py", "deploy_check", "production", **data)

    assert done.returncode == 2


def test_it_asks_an_account_that_is_unreachable_only_for_a_while(data: dict[str, str]) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_DEFAULT_REGION": "eu-central-1"}

    rows = json.loads(run("manage.py", "deploy_check", "--json", **data, **keys).stdout)

    assert {row["status"] for row in rows if row["check"] in ("function", "mapping", "schedule")} == {"not known"}


@pytest.mark.parametrize("missing", ["DATABASE_URL", "MLSERVE_BUCKET"])
def test_it_refuses_to_deploy_before_it_changes_anything(missing: str) -> None:
    every = {"DATABASE_URL": "postgres://db/x", "MLSERVE_BUCKET": "b", "AWS_DEFAULT_REGION": "eu-central-1"}

    done = run("-m", "deployment", "deploy", **{**every, missing: ""})

    assert done.returncode == 1
    assert f"{missing} is not set" in done.stdout
    assert "no function was changed" in done.stderr
    assert "Bucket and queue" not in done.stdout


@pytest.mark.parametrize("command", [["rollback"], ["undeploy", "--yes"], ["admin", "ada"]])
def test_it_says_in_one_line_that_no_server_answers(command: list[str]) -> None:
    keys = {
        "AWS_ACCESS_KEY_ID": "k",
        "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_DEFAULT_REGION": "eu-central-1",
    }

    done = run("-m", "deployment", *command, MLSERVE_BUCKET="b", **keys)

    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1


def test_it_wants_a_command() -> None:
    assert run("-m", "deployment").returncode == 2
