"""A real service: `manage.py serve` in a process of its own, reached over HTTP only."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import httpx
import psycopg
from psycopg import sql

from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parent.parent.parent
MANAGE = [sys.executable, str(ROOT / "manage.py")]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _own_database(folder: Path, like: "Service | None") -> str:
    """The URL of a database that no other service uses, in the cluster of this run's DATABASE_URL."""
    url = os.environ["DATABASE_URL"]
    if url.startswith("sqlite"):
        return f"sqlite:///{folder}/service.sqlite3"
    name = f"service_{uuid.uuid4().hex}"
    template = like.environment["DATABASE_URL"].rpartition("/")[2] if like else "template1"
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
    return f"{url.rpartition('/')[0]}/{name}"


class Service:
    """Start with `start()`, stop with `stop()`; `output` is what a user would have read on the terminal."""

    def __init__(
        self, folder: Path, *, like: "Service | None" = None, variables: Mapping[str, str] | None = None
    ) -> None:
        """With its own folder and database: empty ones, or copies of those of `like`, which must not run.

        `variables` are of the environment; a DATABASE_URL among them is used instead of an own one.
        """
        given = variables or {}
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = folder / f"service-{self.port}.log"
        self.environment = {
            **os.environ,
            "DEBUG": "1",
            "MLSERVE_NEW_MODELS": "public",
            "MLSERVE_DATA_DIR": str(folder),
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "DATABASE_URL": given.get("DATABASE_URL") or _own_database(folder, like),
            **given,
        }
        self.prefix: list[str] = []
        if like is not None:
            shutil.copytree(like.folder, folder, dirs_exist_ok=True)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def output(self) -> str:
        return self._log.read_text("utf-8", errors="replace")

    def start(self, *arguments: str) -> Self:
        self.launch("--prepare", *arguments)
        self.wait_for(lambda: self.get("/readyz").status_code == 200, "the service to be ready")
        return self

    def launch(self, *arguments: str) -> None:
        """Start the process, without waiting until it is ready."""
        command = [*self.prefix, *MANAGE, "serve", *arguments]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)

    def stop(self, how: int = signal.SIGTERM) -> int:
        """The exit status; negative for a signal."""
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(60)

    def manage(self, *arguments: str) -> str:
        """Run another command beside the service, as its owner would; its output."""
        done = subprocess.run([*MANAGE, *arguments], env=self.environment, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def get(self, path: str, **options: Any) -> httpx.Response:
        return httpx.get(self.url + path, timeout=30, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return httpx.post(self.url + path, timeout=30, **options)

    def password(self) -> str:
        found = re.search(r"with the password '([^']+)'", self.output)
        assert found, self.output
        return found[1]

    def wait_for(self, condition: Any, what: str, *, seconds: float = 60) -> None:
        def holds() -> bool:
            with suppress(httpx.TransportError):
                if condition():
                    return True
            assert self.process is None or self.process.poll() is None, f"the service ended:\n{self.output}"
            return False

        wait_until(holds, lambda: f"{what}:\n{self.output}", seconds=seconds, look_every_seconds=0.05)

    def children(self, of: int | None = None) -> list[int]:
        """Process ids, direct children first, then theirs."""
        parent = of or (self.process.pid if self.process else 0)
        listed = subprocess.run(
            ["pgrep", "-P", str(parent)], check=False, capture_output=True, text=True
        ).stdout.split()
        direct = [int(pid) for pid in listed]
        return direct + [grandchild for pid in direct for grandchild in self.children(pid)]

    def wait_for_none(self, pids: list[int], *, seconds: float = 60) -> None:
        """Until none of these processes runs any more."""

        def left() -> list[int]:
            return [pid for pid in pids if is_running(pid)]

        wait_until(lambda: not left(), lambda: f"the end of {[command_of(pid) for pid in left()]}", seconds=seconds)

    def part(self, name: str) -> int:
        """The process id of the web server's or the worker's main process."""
        found = [pid for pid in self.children() if re.search(f"^mlserve {name}|--only {name}", command_of(pid))]
        assert found, f"no {name} among {[command_of(pid) for pid in self.children()]}:\n{self.output}"
        return found[0]

    def prediction_workers(self) -> list[int]:
        """Process ids of the workers, as /readyz would count them, read from the process table."""
        cluster = self.part("worker")
        return [pid for pid in self.children(cluster) if pid != cluster]


def command_of(pid: int) -> str:
    """The name and command line of a process; empty when it is gone."""
    columns = ["-o", "comm=", "-o", "args="]
    done = subprocess.run(["ps", "-ww", *columns, "-p", str(pid)], check=False, capture_output=True, text=True)
    return done.stdout.strip()


def is_running(pid: int) -> bool:
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], check=False, capture_output=True, text=True)
    return bool(done.stdout.strip()) and not done.stdout.startswith("Z")
