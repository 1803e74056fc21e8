"""A PostgreSQL of its own for one run: found on this machine, started in a temporary folder, with its disk synced."""

import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import sql

from benchmark.programs import DidNotStart, Program

MISSING = "PostgreSQL is not installed: apt-get install postgresql"
# Debian, Red Hat and Homebrew keep the server's programs outside PATH, a folder per version.
_PROGRAM_FOLDERS = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "opt/homebrew/opt/postgresql@*/bin",
)
# All systems run at once, and each thread of each web process has a connection.
_MOST_CONNECTIONS = 400


def find_programs() -> Path | None:
    """The folder with initdb, pg_ctl and postgres: from PATH, else the newest version installed."""
    on_path = shutil.which("initdb")
    installed = [path for glob in _PROGRAM_FOLDERS for path in Path("/").glob(glob)]
    newest_first = sorted(installed, key=_version, reverse=True)
    for folder in ([Path(on_path).resolve().parent] if on_path else []) + newest_first:
        if all((folder / name).exists() for name in ("initdb", "pg_ctl", "postgres")):
            return folder
    return None


def _version(folder: Path) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", str(folder)))


def owner_of_cluster() -> dict[str, Any]:
    """Who else must run the cluster, as `subprocess` takes it: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


@dataclass(frozen=True)
class Cluster:
    """A running server, reached by a socket in its folder."""

    folder: Path

    def create_database(self, name: str) -> str:
        """Its URL."""
        with psycopg.connect(self._url("postgres"), autocommit=True) as admin:
            admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self._url(name)

    def answers(self) -> bool:
        try:
            psycopg.connect(self._url("postgres")).close()
        except psycopg.OperationalError:
            return False
        return True

    def version(self) -> str:
        """As 15.18."""
        with psycopg.connect(self._url("postgres")) as connection:
            [version] = connection.execute("SHOW server_version").fetchone() or ("unknown",)
        return str(version).split()[0]

    def _url(self, name: str) -> str:
        return f"postgres://mlserve@{quote(str(self.folder), safe='')}/{name}"


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """With the server's defaults, so that each commit waits for the disk. Raises DidNotStart."""
    programs, owner = find_programs(), owner_of_cluster()
    if programs is None:
        raise DidNotStart(MISSING)
    with tempfile.TemporaryDirectory(prefix="mlserve-bench-postgres-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if owner:
            shutil.chown(folder, owner["user"], owner["group"])
        data = folder / "data"
        made = subprocess.run(
            [programs / "initdb", "--pgdata", data, "--username=mlserve", "--auth=trust", "--no-sync"],
            cwd=folder, capture_output=True, text=True, check=False, **owner,
        )  # fmt: skip
        if made.returncode:
            raise DidNotStart(f"initdb failed ({made.returncode}):\n{made.stderr}")
        options = ["-h", "", "-k", name, "-c", f"max_connections={_MOST_CONNECTIONS}"]
        command = [str(programs / "postgres"), "-D", str(data), *options]
        program, cluster = Program("PostgreSQL", command, os.environ, folder / "log", **owner), Cluster(folder)
        try:
            program.wait_until(cluster.answers, pause_seconds=0.1)
            yield cluster
        finally:
            program.stop()
