"""The files of a real SQLite database that are deleted while it is open."""

import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mlserve.processes.open_files import lost_database_files

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells which open files were deleted")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "data.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=wal")
        connection.execute("CREATE TABLE rows (number)")
        yield path


def test_it_finds_nothing_where_all_files_are_there(database: Path) -> None:
    assert lost_database_files(database) == []


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
def test_it_finds_a_deleted_file(database: Path, suffix: str) -> None:
    Path(f"{database}{suffix}").unlink()

    assert lost_database_files(database) == [f"data.sqlite3{suffix}"]


def test_it_finds_a_file_that_was_replaced(database: Path) -> None:
    backup = shutil.copy(database, database.with_name("backup"))
    Path(backup).replace(database)

    assert lost_database_files(database) == ["data.sqlite3"]


def test_it_finds_a_file_by_any_name_of_its_folder(database: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    Path(f"{database}-wal").unlink()

    assert lost_database_files(tmp_path / "link" / database.name) == ["data.sqlite3-wal"]


def test_it_forgets_what_is_closed(tmp_path: Path) -> None:
    with (tmp_path / "data.sqlite3-wal").open("w") as file:
        Path(file.name).unlink()

    assert lost_database_files(tmp_path / "data.sqlite3") == []
