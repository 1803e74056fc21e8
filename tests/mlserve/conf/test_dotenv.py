import os
import stat
from pathlib import Path

import dotenv
import pytest
from django.core.exceptions import ImproperlyConfigured

from mlserve.conf.dotenv import ENV_FILE, load_dotenv_once, write_laptop_env
from tests.paths import ROOT


def test_it_lies_where_make_serve_looks_for_it() -> None:
    assert ENV_FILE == ROOT / ".env"
    assert (ROOT / "manage.py").exists()


def test_it_writes_what_a_laptop_needs(tmp_path: Path) -> None:
    assert write_laptop_env(tmp_path / ".env") is True

    written = dotenv.dotenv_values(tmp_path / ".env")
    assert len(written["SECRET_KEY"] or "") >= 50
    assert written["DEBUG"] == "1"
    assert written["MLSERVE_NEW_MODELS"] == "public"


def test_it_lets_only_the_owner_read_it(tmp_path: Path) -> None:
    write_laptop_env(tmp_path / ".env")

    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600


def test_it_leaves_an_existing_file_alone(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SECRET_KEY=mine\n")

    assert write_laptop_env(tmp_path / ".env") is False
    assert (tmp_path / ".env").read_text() == "SECRET_KEY=mine\n"


def test_it_makes_another_secret_for_each_machine(tmp_path: Path) -> None:
    for name in ("one", "other"):
        write_laptop_env(tmp_path / name)

    assert (tmp_path / "one").read_text() != (tmp_path / "other").read_text()


@pytest.fixture
def unset(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a variable that a test may let `.env` set."""
    monkeypatch.setenv("ONLY_OF_THIS_TEST", "")
    monkeypatch.delenv("ONLY_OF_THIS_TEST")
    return "ONLY_OF_THIS_TEST"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_it_reads_a_file_with_and_without_a_mark(tmp_path: Path, unset: str, encoding: str) -> None:
    (tmp_path / ".env").write_text(f"{unset}=grün\n", encoding=encoding)

    load_dotenv_once(tmp_path / ".env")

    assert os.environ[unset] == "grün"


def test_it_lets_a_variable_that_is_set_win(tmp_path: Path, unset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(unset, "mine")
    (tmp_path / ".env").write_text(f"{unset}=other\n")

    load_dotenv_once(tmp_path / ".env")

    assert os.environ[unset] == "mine"


def test_it_needs_no_file(tmp_path: Path) -> None:
    load_dotenv_once(tmp_path / ".env")


@pytest.mark.parametrize(
    ("encoding", "kind"),
    [("utf-16", "UTF-16"), ("utf-16-le", "UTF-16"), ("utf-16-be", "UTF-16"), ("latin-1", "in an older encoding")],
)
def test_it_names_another_encoding(tmp_path: Path, unset: str, encoding: str, kind: str) -> None:
    (tmp_path / ".env").write_text(f"{unset}=grün\n", encoding=encoding)

    with pytest.raises(ImproperlyConfigured, match=rf"\.env is {kind}.*; allowed is UTF-8\. Save it so in an editor"):
        load_dotenv_once(tmp_path / ".env")

    assert unset not in os.environ


def test_it_says_that_the_file_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()

    with pytest.raises(ImproperlyConfigured, match=r"\.env cannot be read: Is a directory\."):
        load_dotenv_once(tmp_path / ".env")
