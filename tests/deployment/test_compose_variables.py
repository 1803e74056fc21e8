"""compose.env, which `make compose` writes."""

import stat
import subprocess
import sys
from pathlib import Path

import dotenv
import pytest

from deployment import compose_variables
from deployment.compose_variables import write
from tests.paths import ROOT

SECRETS = ("SECRET_KEY", "DATABASE_PASSWORD", "QUEUE_PASSWORD", "STORE_SECRET")


def written(path: Path, *, domain: str = "") -> dict[str, str | None]:
    assert write(path, domain=domain) is True
    return dotenv.dotenv_values(path, interpolate=False)


def test_it_lies_where_compose_and_git_look_for_it() -> None:
    assert compose_variables.PATH == ROOT / "compose.env"
    assert "compose.env" in (ROOT / ".gitignore").read_text("utf-8").splitlines()
    assert "env_file: compose.env" in (ROOT / "compose.yaml").read_text("utf-8")


def test_it_makes_secrets_that_differ_and_need_no_escape(tmp_path: Path) -> None:
    """In an address, in a file of variables, in a shell."""
    one, other = written(tmp_path / "one"), written(tmp_path / "other")

    found = [each[name] or "" for each in (one, other) for name in SECRETS]
    assert len(set(found)) == 2 * len(SECRETS)
    assert all(len(value) >= 48 and value.replace("-", "").replace("_", "").isalnum() for value in found)


def test_it_lets_only_the_owner_read_them(tmp_path: Path) -> None:
    write(tmp_path / "compose.env")

    assert stat.S_IMODE((tmp_path / "compose.env").stat().st_mode) == 0o600


def test_it_leaves_an_existing_file_alone(tmp_path: Path) -> None:
    (tmp_path / "compose.env").write_text("SECRET_KEY=mine\n")

    assert write(tmp_path / "compose.env") is False
    assert (tmp_path / "compose.env").read_text() == "SECRET_KEY=mine\n"


def test_it_is_a_laptops_without_a_domain_and_a_servers_with_one(tmp_path: Path) -> None:
    here, there = written(tmp_path / "here"), written(tmp_path / "there", domain="models.example.com")

    assert (here["DEBUG"], here["PUBLISH"]) == ("1", "127.0.0.1:8000")
    assert "DEBUG" not in there
    assert "MLSERVE_NEW_MODELS" not in there
    assert there["ALLOWED_HOSTS"] == "models.example.com,localhost"
    assert there["CSRF_TRUSTED_ORIGINS"] == "https://models.example.com"
    assert there["MLSERVE_TRUSTED_PROXIES"] == "1"


def test_it_names_variables_that_the_settings_or_compose_explain(tmp_path: Path) -> None:
    explained = (ROOT / "docs" / "settings.md").read_text("utf-8") + (ROOT / "compose.yaml").read_text("utf-8")

    for domain in ("", "models.example.com"):
        named = written(tmp_path / f"file{domain}", domain=domain)
        assert [name for name in named if f"`{name}`" not in explained and f"${{{name}:" not in explained] == []


@pytest.mark.parametrize(
    "domain",
    ["https://models.example.com", "models.example.com:8000", "models.example.com/x", "a b.com", "x\nDEBUG=1",
     "*.x.com", "localhost", "-a.com", "a" * 64 + ".com"],
)  # fmt: skip
def test_it_refuses_what_is_no_domain(domain: str) -> None:
    command = [sys.executable, "-m", "deployment.compose_variables", f"--domain={domain}"]

    was_there = compose_variables.PATH.exists()

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "is no host name: models.example.com, without https:// and port" in done.stderr
    assert compose_variables.PATH.exists() == was_there
