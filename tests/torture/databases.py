"""The database of a run: reached past the service, subjected to faults, and read at the end."""

import contextlib
import shlex
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import psycopg

from benchmark.postgres import MISSING, find_programs, owner_of_cluster
from tests.stand_ins.keeper import Keeper

_START_SECONDS = 60
# Each step of each prediction, written by the database itself in the transaction that makes the step.
_SQLITE_TRIGGERS = """
    CREATE TABLE torture_steps (prediction_id TEXT, was TEXT, became TEXT);
    CREATE TRIGGER torture_begin AFTER INSERT ON predictions_prediction BEGIN
        INSERT INTO torture_steps VALUES (NEW.id, '', NEW.status);
    END;
    CREATE TRIGGER torture_step AFTER UPDATE OF status, result, error ON predictions_prediction BEGIN
        INSERT INTO torture_steps VALUES (NEW.id, OLD.status, NEW.status);
    END;
    CREATE TRIGGER torture_end AFTER DELETE ON predictions_prediction BEGIN
        INSERT INTO torture_steps VALUES (OLD.id, OLD.status, 'deleted');
    END;
"""
_POSTGRES_TRIGGERS = """
    CREATE TABLE torture_steps (prediction_id TEXT, was TEXT, became TEXT);
    CREATE FUNCTION torture_note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF TG_OP = 'INSERT' THEN INSERT INTO torture_steps VALUES (NEW.id, '', NEW.status);
        ELSIF TG_OP = 'UPDATE' THEN INSERT INTO torture_steps VALUES (NEW.id, OLD.status, NEW.status);
        ELSE INSERT INTO torture_steps VALUES (OLD.id, OLD.status, 'deleted'); END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER torture_note AFTER INSERT OR DELETE OR UPDATE OF status, result, error
        ON predictions_prediction FOR EACH ROW EXECUTE FUNCTION torture_note();
"""


class Database(Protocol):
    name: str
    url: str

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        """Rows of a query; none of any other statement."""

    def watch(self) -> None:
        """From now on `torture_steps` holds each step of each prediction."""

    def stop(self) -> None:
        """At once, as when its machine crashes; `start` brings it back."""

    def start(self) -> None: ...

    def has_ended(self) -> bool:
        """Without having been stopped."""

    def close(self) -> None: ...


class Sqlite:
    name = "sqlite"

    def __init__(self, folder: Path) -> None:
        self.path = folder / "torture.sqlite3"
        self.url = f"sqlite:///{self.path}"

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path, timeout=60, isolation_level=None)) as connection:
            return connection.execute(statement).fetchall()

    def watch(self) -> None:
        with closing(sqlite3.connect(self.path, timeout=60)) as connection:
            connection.executescript(_SQLITE_TRIGGERS)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Another process writes, and takes long."""
        with closing(sqlite3.connect(self.path, timeout=60, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")

    def stop(self) -> None:
        """There is no server."""

    def start(self) -> None: ...

    def has_ended(self) -> bool:
        return False

    def close(self) -> None: ...


class Postgres:
    """A cluster of its own, reached by a socket in its folder; ends with this process, however that ends."""

    name = "postgres"

    def __init__(self, folder: Path) -> None:
        programs = find_programs()
        if programs is None:
            raise FileNotFoundError(MISSING)
        self._programs, self._folder = programs, folder
        folder.mkdir()
        self._owner = owner_of_cluster()
        if self._owner:
            shutil.chown(folder, self._owner["user"], self._owner["group"])
        self._keeper = Keeper()
        self._run("initdb", "--username=mlserve", "--auth=trust", "--no-sync")
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"postgres://mlserve@{quote(str(folder), safe='')}/postgres"
        self.start()

    def _run(self, program: str, *options: str) -> None:
        command: list[str | Path] = [self._programs / program, *options, "--pgdata", self._folder / "data"]
        done = subprocess.run(command, cwd=self._folder, check=False, capture_output=True, text=True, **self._owner)
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr.strip()}")

    def start(self) -> None:
        """Returns once it answers, after its own recovery."""
        options = shlex.split(f"-h '' -k {shlex.quote(str(self._folder))} -c fsync=off -c max_connections=200")
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self._folder / "data", *options],
                cwd=self._folder, stdout=log, stderr=log, start_new_session=True, **self._owner,
            )  # fmt: skip
        self._keeper.watch(self._process.pid)
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                self.ask("SELECT 1")
                return
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def stop(self) -> None:
        with contextlib.suppress(RuntimeError):  # it may have ended by itself
            self._run("pg_ctl", "stop", "--mode=immediate")
        if self._process is not None:
            self._process.wait(_START_SECONDS)

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(f"host={self._folder} user=mlserve dbname=postgres", autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def watch(self) -> None:
        self.ask(_POSTGRES_TRIGGERS)

    def close(self) -> None:
        self.stop()
        self._keeper.release()

    def has_ended(self) -> bool:
        return self._process is None or self._process.poll() is not None
