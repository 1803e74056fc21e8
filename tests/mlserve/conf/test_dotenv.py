import stat
from pathlib import Path

import dotenv

from mlserve.conf.dotenv import ENV_FILE, write_laptop_env
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
