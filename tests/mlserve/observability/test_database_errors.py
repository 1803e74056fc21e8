"""What real databases say, told apart."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django import db
from django.db import connection
from django.db.utils import ConnectionHandler

from mlserve.observability.database_errors import UNREACHABLE, trouble_of
from tests.flows.service import free_port

pytestmark = pytest.mark.django_db


def error_of(url_settings: dict[str, Any], statement: str = "SELECT 1") -> db.Error:
    """What a database with these settings answers to a statement."""
    handler = ConnectionHandler({"default": {"OPTIONS": {}, **url_settings}})
    try:
        with pytest.raises(db.Error) as raised, handler["default"].cursor() as cursor:
            cursor.execute(statement)
        return raised.value
    finally:
        handler["default"].close()


def sqlite(path: Path, statement: str) -> db.Error:
    return error_of({"ENGINE": "django.db.backends.sqlite3", "NAME": str(path)}, statement)


def what(error: BaseException) -> str:
    trouble = trouble_of(error)
    return trouble.what if trouble else ""


NOT_MIGRATED = "The database is not migrated to this release"


@pytest.mark.parametrize("statement", ["SELECT * FROM absent", "INSERT INTO absent VALUES (1)", "SELECT x FROM t",
                                       "INSERT INTO t (x) VALUES (1)"])  # fmt: skip
def test_it_knows_that_sqlite_lacks_a_table_or_column(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "db.sqlite3"
    file = sqlite3.connect(path)
    file.execute("CREATE TABLE t (id)")
    file.close()

    assert what(sqlite(path, statement)) == NOT_MIGRATED


def test_it_knows_that_a_file_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "db.sqlite3").write_text("some text that is no database, and long enough to be looked at " * 20)

    assert what(sqlite(tmp_path / "db.sqlite3", "SELECT * FROM t")) == "The database's file is damaged or no database"


def test_it_knows_that_a_file_cannot_be_opened(tmp_path: Path) -> None:
    assert what(sqlite(tmp_path / "none" / "db.sqlite3", "SELECT 1")) == "The database's file cannot be opened"


def test_it_knows_that_a_file_is_read_only(tmp_path: Path) -> None:
    path = tmp_path / "db.sqlite3"
    sqlite3.connect(path).close()
    error = error_of(
        {"ENGINE": "django.db.backends.sqlite3", "NAME": f"file:{path}?mode=ro", "OPTIONS": {"uri": True}},
        "CREATE TABLE t (id)",
    )

    assert what(error) == "The database takes no changes"


def test_it_says_nothing_of_a_violated_constraint(tmp_path: Path) -> None:
    path = tmp_path / "db.sqlite3"
    file = sqlite3.connect(path)
    file.execute("CREATE TABLE t (id NOT NULL)")
    file.close()

    assert trouble_of(sqlite(path, "INSERT INTO t VALUES (NULL)")) is None
    assert trouble_of(ValueError("no such table: t")) is None


@pytest.fixture(scope="module")
def of_postgres(postgres_url: str) -> Callable[..., dict[str, Any]]:
    """Settings of the cluster of this run, with something changed."""
    parts = psycopg.conninfo.conninfo_to_dict(postgres_url)

    def settings(**changes: Any) -> dict[str, Any]:
        named = {"NAME": parts["dbname"], "USER": parts["user"], "HOST": parts["host"], "PORT": "", "PASSWORD": ""}
        return {"ENGINE": "django.db.backends.postgresql", **named, **changes}

    return settings


@pytest.fixture(scope="module")
def stranger(postgres_url: str) -> None:
    """A role without rights, and a table that it may not read."""
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute("DROP ROLE IF EXISTS stranger")
        admin.execute("CREATE ROLE stranger LOGIN")
        admin.execute("CREATE TABLE IF NOT EXISTS private_things (id int)")


@pytest.mark.parametrize(
    ("changes", "statement", "expected"),
    [
        ({}, "SELECT * FROM absent", NOT_MIGRATED),
        ({}, "SELECT nothing FROM pg_class", NOT_MIGRATED),
        ({"USER": "stranger"}, "SELECT * FROM private_things", "The database's user lacks a right"),
        ({"USER": "stranger"}, "CREATE SCHEMA mine", "The database's user lacks a right"),
        ({"USER": "nobody-knows"}, "SELECT 1", "The database's server does not know this user, password or database"),
        ({"NAME": "nothing"}, "SELECT 1", "The database's server does not know this user, password or database"),
        ({"OPTIONS": {"sslmode": "requir"}}, "SELECT 1", "The settings of the connection to the database are wrong"),
        ({"OPTIONS": {"colour": "red"}}, "SELECT 1", "The settings of the connection to the database are wrong"),
        (
            {"OPTIONS": {"options": "-c default_transaction_read_only=on"}},
            "CREATE TABLE t (id int)",
            "The database takes no changes",
        ),
    ],
)
@pytest.mark.usefixtures("stranger")
def test_it_tells_apart_what_postgresql_says(
    of_postgres: Callable[..., dict[str, Any]],
    changes: dict[str, Any],
    statement: str,
    expected: str,
) -> None:
    assert what(error_of(of_postgres(**changes), statement)) == expected


def test_it_takes_all_else_for_a_server_that_is_away(of_postgres: Callable[..., dict[str, Any]]) -> None:
    error = error_of(of_postgres(HOST="127.0.0.1", PORT=free_port()))

    trouble = trouble_of(error)
    assert trouble is UNREACHABLE
    assert trouble.may_pass
    assert "\n" not in trouble.for_operators(error)


def test_it_tells_clients_what_to_tell_the_operator() -> None:
    with pytest.raises(db.Error) as raised, connection.cursor() as cursor:
        cursor.execute("SELECT * FROM absent")

    trouble = trouble_of(raised.value)

    assert trouble is not None
    assert trouble.for_clients() == (
        "The database is not migrated to this release. Nothing was accepted; "
        "tell the operator of this service: run .venv/bin/python manage.py migrate."
    )
    assert trouble.for_operators(raised.value).endswith("manage.py migrate")
    assert "absent" in trouble.for_operators(raised.value)
