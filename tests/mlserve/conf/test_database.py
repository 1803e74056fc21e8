"""DATABASE_URL: what it becomes, and what is said of one that cannot be used."""

from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from mlserve.conf.database import database
from mlserve.conf.env import Env


def read(url: str, folder: Path) -> dict[str, Any]:
    return database(Env({"DATABASE_URL": url}), data_folder=folder / "data", project=folder)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgres://ana:secret@db:5999/mlserve", ("ana", "secret", "db", 5999, "mlserve")),
        ("postgresql://ana:secret@db/mlserve", ("ana", "secret", "db", "", "mlserve")),
        ("Postgres://ana:secret@db/mlserve", ("ana", "secret", "db", "", "mlserve")),
        ("postgres://ana:a@b:c@db/mlserve", ("ana", "a@b:c", "db", "", "mlserve")),
        ("postgres://ana:100%sure@db/mlserve", ("ana", "100%sure", "db", "", "mlserve")),
        ("postgres://ana:%23%2F%3F%5B%5D%40%3A%25@db/mlserve", ("ana", "#/?[]@:%", "db", "", "mlserve")),
        ("postgres://ana:secret@[::1]:5999/mlserve", ("ana", "secret", "::1", 5999, "mlserve")),
        ("postgres://ana@%2Fvar%2Frun/mlserve", ("ana", "", "/var/run", "", "mlserve")),
        ("postgres:///mlserve", ("", "", "", "", "mlserve")),
    ],
)
def test_it_reads_postgresql(url: str, expected: tuple[Any, ...], tmp_path: Path) -> None:
    found = read(url, tmp_path)

    assert tuple(found[key] for key in ("USER", "PASSWORD", "HOST", "PORT", "NAME")) == expected
    assert found["ENGINE"] == "django.db.backends.postgresql"


@pytest.mark.parametrize(
    "url",
    [f"postgres://ana:{password}@127.0.0.1:5999/mlserve"
     for password in ("Tr0ub#dor", "p/ss&word", "wh4t?n0w", "[secret]", "sec]ret", "12/34", "12?34", "12#34", "a@b/c",
                      "1@2?3")]
    + ["postgres://ana:s3cret@127.0.0.1:port/m", "postgres://ana:s3cret@127.0.0.1:99999/m",
       "postgres://ana:s3cret@127.0.0.1:0/m", "postgres://ana:s3cret@127.0.0.1:5999/", "postgres://ana:s3cret@h",
       "postgres://ana:s3cret@h/a/b", "postgres://ana:s3cret@h/m#x", "postgres://", "postgres://127.0.0.1"],
)  # fmt: skip
def test_it_says_how_to_escape_without_showing_a_password(url: str, tmp_path: Path) -> None:
    with pytest.raises(ImproperlyConfigured) as refusal:
        read(url, tmp_path)

    said = str(refusal.value)
    assert said.startswith("DATABASE_URL cannot be used: ")
    assert "%23 for #, %2F for /, %3F for ?, %5B for [" in said
    assert "\n" not in said
    secrets = ("Tr0ub", "dor", "ss&word", "wh4t", "n0w", "s3cret", "secret", "sec]", "12", "34", "127.0.0.1", "ana")
    assert [secret for secret in secrets if secret in said] == []


@pytest.mark.parametrize(
    ("url", "begins"),
    [("mysql://ana:s3cret@h/d", "'mysql'"), ("postgresql+psycopg://ana:s3cret@h/d", "'postgresql+psycopg'"),
     ("postgres:/ana:s3cret@h/d", "no scheme"), ("sqlite:", "no scheme"), ("ana:s3cret@h/d", "no scheme"),
     ("host=h password=s3cret", "no scheme"), ("ana s3cret://x", "no scheme")],
)  # fmt: skip
def test_it_names_another_kind_of_database(url: str, begins: str, tmp_path: Path) -> None:
    with pytest.raises(ImproperlyConfigured) as refusal:
        read(url, tmp_path)

    assert str(refusal.value).startswith(f"DATABASE_URL begins with {begins}")
    assert "postgres://user:password@host:5432/name or sqlite:///path" in str(refusal.value)
    assert "s3cret" not in str(refusal.value)


@pytest.mark.parametrize("quote", ["'", '"', "`"])
def test_it_asks_for_quotes_to_be_left_out(quote: str, tmp_path: Path) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"^DATABASE_URL begins and ends with .; allowed") as refusal:
        read(f"{quote}postgres://ana:s3cret@h/d{quote}", tmp_path)

    assert "s3cret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("url", "path"),
    [("", "data/mlserve.sqlite3"), ("sqlite:///data/my.sqlite3", "data/my.sqlite3"), ("sqlite:///x", "x"),
     ("SQLite:///a%23b%3F.sqlite3", "a#b?.sqlite3")],
)  # fmt: skip
def test_it_begins_relative_paths_in_the_project(
    url: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")

    assert read(url, tmp_path)["NAME"] == str(tmp_path / path)


def test_it_takes_absolute_paths_and_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    assert read(f"sqlite:///{tmp_path}/my.sqlite3", Path("/nowhere"))["NAME"] == f"{tmp_path}/my.sqlite3"
    assert read("sqlite:///~/my.sqlite3", Path("/nowhere"))["NAME"] == f"{tmp_path}/home/my.sqlite3"


@pytest.mark.parametrize("name", ["C#", "what?", "100%41", "a b"])
def test_it_keeps_its_file_in_a_folder_of_any_name(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name

    assert read("", folder)["NAME"] == str(folder / "data" / "mlserve.sqlite3")


@pytest.mark.parametrize(
    "rest", ["", "/", "data/my.sqlite3", "/my.sqlite3#x", "/my.sqlite3?mode=ro", "/folder/", "/:memory:", '/"x"']
)
def test_it_names_what_is_no_file(rest: str, tmp_path: Path) -> None:
    with pytest.raises(ImproperlyConfigured) as refusal:
        read(f"sqlite://{rest}", tmp_path)

    assert str(refusal.value).startswith(f"DATABASE_URL is {f'sqlite://{rest}'!r}; allowed is sqlite:///path")
