"""The systems under test: how each is started, asked and stopped."""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values

from benchmark.asking import one_answer
from benchmark.connection import BadAnswer
from benchmark.dialects import HANDWRITTEN, MLSERVE_POLLING, MLSERVE_WAITING, QUEUED, Polling, Waiting, WrongAnswer
from benchmark.example import Example
from benchmark.handwritten.store import create_table
from benchmark.postgres import Cluster
from benchmark.programs import Program, free_port, run_to_end
from mlserve.conf.dotenv import ENV_FILE

ROOT = Path(__file__).resolve().parent.parent
_MANAGE = [sys.executable, str(ROOT / "manage.py")]
_OURS = ("MLSERVE_", "AWS_", "DATABASE_URL", "SECRET_KEY", "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS")
# The peers get as many processes as mlserve: two of the web server, two that predict.
_PROCESSES = "2"


@dataclass(frozen=True)
class Command:
    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str]


class System:
    """Programs that together answer at one port; they can be started again after `stop`."""

    def __init__(
        self, name: str, port: int, commands: Sequence[Command], example: Example, *dialects: Waiting | Polling
    ) -> None:
        self.name = name
        self.port = port
        self.example = example
        self._commands = commands
        self._dialects = dialects
        self._programs: list[Program] = []

    @property
    def waiting(self) -> Waiting:
        return next(dialect for dialect in self._dialects if isinstance(dialect, Waiting))

    @property
    def polling(self) -> Polling:
        return next(dialect for dialect in self._dialects if isinstance(dialect, Polling))

    @property
    def can_wait(self) -> bool:
        """Whether an answer can contain the predictions, so that polling is not needed."""
        return any(isinstance(dialect, Waiting) for dialect in self._dialects)

    @property
    def can_poll(self) -> bool:
        return any(isinstance(dialect, Polling) for dialect in self._dialects)

    @property
    def pids(self) -> list[int]:
        return [pid for program in self._programs for pid in program.pids]

    def start(self) -> None:
        """Returns after the first right answer. Raises DidNotStart."""
        for command in self._commands:
            log = self.example.folder / f"{self.name}.{command.name.replace(' ', '-')}.log"
            name = f"{self.name} ({command.name})"
            self._programs.append(Program(name, command.arguments, command.environment, log))
        for program in self._programs:
            program.wait_until(self._answers, pause_seconds=0.01)

    def _answers(self) -> bool:
        try:
            one_answer(self.port, self._dialects[0], self.example)
        except (BadAnswer, WrongAnswer):
            return False
        return True

    def last_lines(self) -> str:
        """The ends of its programs' logs."""
        return "\n".join(f"  {program.name} printed last:\n{program.last_lines()}" for program in self._programs)

    def stop(self) -> None:
        while self._programs:
            self._programs.pop().stop()


def mlserve(name: str, example: Example, *, cluster: Cluster | None = None, stored_rows: int = 0) -> System:
    """With data of its own: the model uploaded and promoted, `stored_rows` predictions that ended before.

    In a database of the cluster, or in SQLite without one.
    """
    port = free_port()
    folder = example.folder / name
    folder.mkdir()
    url = cluster.create_database(name) if cluster else f"sqlite:///{folder / 'mlserve.sqlite3'}"
    environment = _environment_of_mlserve(folder, port, url)
    run_to_end([*_MANAGE, "migrate", "--verbosity", "0"], environment)
    upload = ["upload_model", str(example.artifact), "--model", "tabular", "--tag", "1", "--public", "--promote"]
    schema = f"{ROOT / 'benchmark' / 'validation.py'}:RawData"
    run_to_end([*_MANAGE, *upload, "--schema", schema, "--sample", str(example.sample)], environment)
    if stored_rows:
        run_to_end([sys.executable, "-m", "benchmark.fill", str(stored_rows)], environment)
    # What `make serve` runs; HOST and PORT are in the environment.
    command = Command("serve", [*_MANAGE, "serve", "--prepare"], environment)
    return System(name, port, [command], example, MLSERVE_WAITING, MLSERVE_POLLING)


def handwritten(name: str, example: Example, *, cluster: Cluster | None = None) -> System:
    """It stores its predictions in the cluster; without one, nothing."""
    port = free_port()
    environment = _environment_of_peers(name, example, cluster)
    return System(name, port, [_uvicorn("app", port, environment)], example, HANDWRITTEN)


def handwritten_async(name: str, example: Example, redis_port: int, *, cluster: Cluster | None = None) -> System:
    """It stores its predictions in the cluster; without one, for a while in Redis."""
    port = free_port()
    redis_url = f"redis://127.0.0.1:{redis_port}/0"
    environment = {**_environment_of_peers(name, example, cluster), "REDIS_URL": redis_url}
    worker = ["-m", "celery", "--app", "benchmark.handwritten.tasks", "worker", "--concurrency", _PROCESSES]
    commands = [
        Command("worker", [sys.executable, *worker, "--loglevel", "WARNING"], environment),
        _uvicorn("queued_app", port, environment),
    ]
    return System(name, port, commands, example, QUEUED)


def redis_server(folder: Path) -> tuple[Program, int] | None:
    """A running Redis that keeps nothing on disk, and its port; None where there is no redis-server."""
    path = shutil.which("redis-server")
    if path is None:
        return None
    port = free_port()
    command = [path, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    return Program("redis-server", [*command, "--dir", str(folder)], os.environ, folder / "redis.log"), port


def _uvicorn(module: str, port: int, environment: Mapping[str, str]) -> Command:
    arguments = ["-m", "uvicorn", f"benchmark.handwritten.{module}:app", "--port", str(port), "--workers", _PROCESSES]
    arguments += ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
    return Command("web server", [sys.executable, *arguments], environment)


def _environment_of_peers(name: str, example: Example, cluster: Cluster | None) -> dict[str, str]:
    url = cluster.create_database(name) if cluster else ""
    if url:
        create_table(url)
    # More threads than cores would compete; mlserve limits its own.
    threads = {"OMP_NUM_THREADS": "1"}
    return {**os.environ, **threads, "MODEL": str(example.artifact), "DATABASE_URL": url, "PYTHONPATH": str(ROOT)}


def _environment_of_mlserve(folder: Path, port: int, database_url: str) -> dict[str, str]:
    """The embedded default in `folder`, independent of this machine's environment and .env."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    # manage.py reads .env too: an empty variable counts as unset, and takes precedence over that file.
    in_dotenv = [name for name in dotenv_values(ENV_FILE) if name.startswith(_OURS)]
    return {
        **kept,
        **dict.fromkeys(in_dotenv, ""),
        "DEBUG": "1",
        "MLSERVE_NEW_MODELS": "public",
        "MLSERVE_DATA_DIR": str(folder),
        "DATABASE_URL": database_url,
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "PYTHONPATH": str(ROOT),
    }
