"""One service with everything below it, in a folder of its own: started, reached past the service, and ended."""

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.flows.service import MANAGE, ROOT
from tests.torture.clock import Clock
from tests.torture.databases import Database, Postgres, Sqlite
from tests.torture.journal import Journal
from tests.torture.models import Model, publish
from tests.torture.places import DiskStore, OrmQueue, Queue, RedisQueue, S3Store, SmallDisk, Store
from tests.torture.unit import Unit, send

BATCH_SECONDS = 8
# A worker that is stopped for longer has lost its lease (predictions/models/completion.py).
LEASE_SECONDS = BATCH_SECONDS + 15
_BUSY_WITHIN_SECONDS = 3.0
# A second worker has to start first.
_BUSY_OTHER_SECONDS = 60.0
_TRIES_TO_PAUSE = 20
_SWEEP_SECONDS = 120


@dataclass(frozen=True)
class Pace:
    """How long faults last, in seconds from–to; how many clients ask."""

    unreachable: tuple[float, float]
    locked: float
    stopped: float
    between: tuple[float, float]
    quiet: float
    clients: int


SHORT = Pace(unreachable=(2, 3), locked=3, stopped=3, between=(0.5, 1), quiet=1, clients=4)
LONG = Pace(unreachable=(30, 40), locked=25, stopped=LEASE_SECONDS + 4, between=(2, 5), quiet=10, clients=6)


class System:
    """`begin` returns once it answers; `end` gives the exit status of the service."""

    def __init__(
        self, folder: Path, journal: Journal, *, database: str, store: str, queue: str, pace: Pace, has_clock: bool
    ) -> None:
        self.journal, self.pace = journal, pace
        below = folder / "disk"
        below.mkdir()
        self.disk = SmallDisk(below)  # first of all: it needs a process without threads
        for name in ("service", "files"):
            (below / name).mkdir()
        self.clock = Clock(folder)
        self.clock_of_the_other = Clock(folder, "other")
        self.database: Database = Postgres(below / "postgres") if database == "postgres" else Sqlite(below / "service")
        self.store: Store = _store(store, below / "service")
        self.queue: Queue = _queue(queue, folder, self.database)
        variables = {
            "DATABASE_URL": self.database.url,
            "MLSERVE_BATCH_SECONDS": str(BATCH_SECONDS),
            "MLSERVE_MAX_WAIT": "10",
            "MLSERVE_ROW_BYTES": "4096",
            "MLSERVE_WORKERS": "2",
            "MLSERVE_TRUSTED_MODULES": "tests.torture.faulty",
            **(self.clock.variables if has_clock else {}),
            **self.store.variables,
            **self.queue.variables,
        }
        self.unit = Unit(below / "service", variables, when_wrong=journal.violation)
        self._files = below / "files"

    def begin(self, models: Sequence[Model]) -> None:
        self.unit.manage("migrate", "--verbosity", "0")
        publish(models, self._files, self.unit.manage)
        self.database.watch()
        self.unit.launch("--web-processes", "2")
        self.unit.wait_for(lambda: self.unit.get("/readyz").status_code == 200, "the service to be ready")
        self.unit.guard()

    def end(self) -> int:
        return self.unit.end()

    def close(self) -> None:
        """Whatever is left of everything, in the reverse order of its beginning."""
        with ExitStack() as left:
            for each in (self.disk, self.database, self.store, self.queue):
                left.callback(each.close)
            for pid in self.unit.processes():
                send(pid, signal.SIGKILL)

    def workers(self) -> list[int]:
        """Processes that predict, as the service itself has noted them."""
        known = {int(pid) for (pid,) in self.database.ask("SELECT pid FROM predictions_worker")}
        return [pid for pid in self.unit.workers_of("worker") if pid in known]

    def busy_worker(self) -> list[int]:
        """One in the middle of a batch, if there is one within some seconds; else any."""
        holders = "SELECT DISTINCT lease_holder FROM predictions_prediction WHERE status = 'running'"
        deadline = time.monotonic() + _BUSY_WITHIN_SECONDS
        while time.monotonic() < deadline:
            pids = [int(holder.rpartition(":")[2]) for (holder,) in self.database.ask(holders)]
            if found := [pid for pid in pids if pid in self.unit.workers_of("worker")]:
                return found[:1]
            time.sleep(0.01)
        return self.workers()

    def pause_busy_workers(self) -> list[int]:
        """Stops the whole cluster amid a batch, as when its machine is suspended; the processes, to be continued."""
        running = "SELECT count(*) FROM predictions_prediction WHERE status = 'running'"
        for _ in range(_TRIES_TO_PAUSE):
            paused = [*self.unit.mains("worker"), *self.busy_worker(), *self.unit.workers_of("worker")]
            for pid in paused:
                send(pid, signal.SIGSTOP)
            if self.database.ask(running) != [(0,)]:
                return paused
            for pid in paused:
                send(pid, signal.SIGCONT)
        return []

    def sweep(self) -> None:
        """As each minute; it may fail, because a paused process may hold SQLite's lock."""
        command = [*MANAGE, "sweep_predictions"]
        subprocess.run(command, env=self.unit.environment, check=False, capture_output=True, timeout=_SWEEP_SECONDS)

    def sweep_early(self) -> None:
        """As by a host whose clock is ahead; fewer times than a prediction has attempts."""
        code = "import django; django.setup(); from tests.torture.early_sweep import sweep_early; sweep_early(2)"
        environment = {**self.unit.environment, "DJANGO_SETTINGS_MODULE": "mlserve.settings"}
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True, timeout=_SWEEP_SECONDS)

    def second_worker(self, offset_seconds: int, *, host: str = "") -> "subprocess.Popen[bytes]":
        """Another worker whose clock is wrong by so much; of another host, if it has a name."""
        self.clock_of_the_other.set(offset_seconds)
        environment = {**self.unit.environment, **self.clock_of_the_other.variables}
        prefix = ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', host] if host else []
        with (self._files / "second-worker.log").open("ab") as log:
            command = [*prefix, *MANAGE, "serve", "--only", "worker", "--workers", "1"]
            return subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def kill_amid_a_batch(self, pid: int, host: str) -> None:
        """Everything of another host at once, while it holds predictions, if it does so within a while."""
        held = f"SELECT count(*) FROM predictions_prediction WHERE status = 'running' AND lease_holder LIKE '{host}-%'"
        deadline = time.monotonic() + _BUSY_OTHER_SECONDS
        while True:
            everything = [pid, *self.unit.children(pid)]
            for each in everything:
                send(each, signal.SIGSTOP)
            if self.database.ask(held) != [(0,)] or time.monotonic() > deadline:
                break
            for each in everything:
                send(each, signal.SIGCONT)
            time.sleep(0.02)
        for each in everything:
            send(each, signal.SIGKILL)

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.unit.url, timeout=60)


def _store(name: str, folder: Path) -> Store:
    return S3Store() if name == "s3" else DiskStore(folder)


def _queue(name: str, folder: Path, database: Database) -> Queue:
    return RedisQueue(folder) if name == "redis" else OrmQueue(database)
