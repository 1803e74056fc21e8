"""The settings as a process reads them at its start."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mlserve import settings as product

ROOT = Path(__file__).resolve().parent.parent.parent


def started_with(**variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "manage.py"), "check"]
    environment = {**os.environ, **variables}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("DATABASE_URL", "mysql://user:hunter2@host/name", "postgres://user:password@host:5432/name or sqlite:///path"),
        ("DATABASE_URL", "postgres://user:hunter2#x@host/name", "%23 for #"),
        ("ALLOWED_HOSTS", "https://models.example.com", "a host name, an address"),
        ("CSRF_TRUSTED_ORIGINS", "models.example.com", "scheme, host and a port"),
        ("MLSERVE_DATA_DIR", '"/srv/data"', "without quotes"),
        ("MLSERVE_CACHE_DIR", "$HOME/cache", "without quotes and $"),
        ("MLSERVE_BUCKET", "'models'", "the value alone"),
        ("MLSERVE_MAX_WAIT", "long", "a whole number, at least 0"),
        ("MLSERVE_NEW_MODELS", "open", "private or public"),
        ("MLSERVE_QUEUE", "amqp://user:hunter2@host", "orm, sqs or redis://host:6379/0"),
        ("MLSERVE_QUEUE", "redis://:hunter2/hunter2@host:6379/0", "with % codes for / ? # @ : in the password"),
        ("MLSERVE_QUEUE", "redis://", "redis://user:password@host:6379/0"),
        ("MLSERVE_MAX_BODY_BYTES", "5 bananas", "bytes as 5242880 or 5MiB"),
        ("DEBUG", "perhaps", "1 or 0"),
        ("MLSERVE_CORS_ORIGINS", "https://app.example.com/", "* alone, or scheme, host"),
        ("MLSERVE_CORS_ORIGINS", "*,https://app.example.com", "* alone, or scheme, host"),
        ("MLSERVE_LOG_LEVEL", "loud", "DEBUG or INFO"),
    ],
)
def test_it_stops_the_start_at_a_bad_value(name: str, value: str, allowed: str) -> None:
    done = started_with(**{name: value})

    assert done.returncode == 1
    assert name in done.stderr
    assert allowed in done.stderr
    assert "hunter2" not in done.stderr
    assert "Traceback" not in done.stderr


def test_it_needs_a_secret_on_a_server() -> None:
    done = started_with(DEBUG="0", SECRET_KEY="")

    assert done.returncode == 1
    assert "SECRET_KEY is not set" in done.stderr


def test_it_keeps_data_from_others_of_the_machine(tmp_path: Path) -> None:
    folder = tmp_path / "var"

    done = started_with(MLSERVE_DATA_DIR=str(folder), DATABASE_URL="")

    assert done.returncode == 0, done.stderr
    assert stat.filemode(folder.stat().st_mode) == "drwx------"


@pytest.mark.parametrize(("given", "seconds"), [("", "10"), ("?connect_timeout=2", "2")])
def test_it_waits_for_a_silent_database_no_longer_than_that(given: str, seconds: str) -> None:
    code = "from mlserve.settings import DATABASES; print(DATABASES['default']['OPTIONS']['connect_timeout'])"
    environment = {**os.environ, "DATABASE_URL": f"postgres://user:password@127.0.0.1:1/name{given}"}

    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.stdout.strip() == seconds


def test_it_leaves_the_choice_of_a_password_hash_to_django() -> None:
    """tests/settings.py takes a fast one, which must never be that of the product."""
    assert not hasattr(product, "PASSWORD_HASHERS")
