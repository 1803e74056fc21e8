"""What is done to the service: a table. Each fault returns once it is over; the recovery is awaited elsewhere."""

import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from tests.torture import models
from tests.torture.clients import submit
from tests.torture.databases import Sqlite
from tests.torture.system import LEASE_SECONDS, System
from tests.torture.unit import send

Harm = Callable[[System, random.Random], None]
_CLOCK_OFFSET_SECONDS = 300
# Of another worker, and to do what the first one had begun.
_START_SECONDS = 6
_OTHER_HOST = "another-host"


def _nothing_lacks(_: System) -> str:
    return ""


@dataclass(frozen=True)
class Fault:
    """`lacking` says what this run or machine has not, or nothing. `model` is the faulty one that it needs."""

    name: str
    about: str
    harm: Harm
    lacking: Callable[[System], str] = _nothing_lacks
    model: str = ""


def _kill(which: Callable[[System], Sequence[int]], system: System, chance: random.Random) -> None:
    if found := which(system):
        send(chance.choice(found), signal.SIGKILL)


def _kill_all(system: System, _: random.Random) -> None:
    """As when the machine is switched off, and on again."""
    for pid in system.unit.processes():
        send(pid, signal.SIGKILL)


def _stop_for_a_while(which: Callable[[System], Sequence[int]], system: System, chance: random.Random) -> None:
    if not (found := which(system)):
        return
    pid = chance.choice(found)
    send(pid, signal.SIGSTOP)
    time.sleep(system.pace.stopped)
    send(pid, signal.SIGCONT)


def _pause_workers(system: System, _: random.Random) -> None:
    """Another worker takes over what they hold; then they wake up amid their batch, and must not count any more."""
    other = system.second_worker(0)
    time.sleep(_START_SECONDS)
    paused = system.pause_busy_workers()
    try:
        time.sleep(LEASE_SECONDS + 1)
        system.sweep()
        time.sleep(_START_SECONDS)
    finally:
        for pid in paused:
            send(pid, signal.SIGCONT)
        other.terminate()
        other.wait(120)


def _lose_host(system: System, _: random.Random) -> None:
    """Nothing of it is left that could tell what it held, and no other host can know; its leases end instead."""
    other = system.second_worker(0, host=_OTHER_HOST)
    system.kill_amid_a_batch(other.pid, _OTHER_HOST)
    other.wait(10)


def _sweep_early(system: System, _: random.Random) -> None:
    system.sweep_early()


def _restart_database(system: System, _: random.Random) -> None:
    system.database.stop()
    system.database.start()


def _keep_database_down(system: System, chance: random.Random) -> None:
    system.database.stop()
    time.sleep(chance.uniform(*system.pace.unreachable))
    system.database.start()


def _lock_database(system: System, _: random.Random) -> None:
    assert isinstance(system.database, Sqlite)
    with system.database.locked():
        time.sleep(system.pace.locked)


def _make_store_unreachable(system: System, chance: random.Random) -> None:
    system.store.go(chance.choice(system.store.ways_to_be_unreachable))
    time.sleep(chance.uniform(*system.pace.unreachable))
    system.store.come_back()


def _purge_queue(system: System, chance: random.Random) -> None:
    for _ in range(3):
        system.queue.purge()
        time.sleep(chance.uniform(0.1, 1))


def _fill_disk(system: System, chance: random.Random) -> None:
    with system.disk.full():
        time.sleep(chance.uniform(*system.pace.unreachable) / 2)
    if system.database.has_ended():  # PostgreSQL does when it cannot write its log
        system.database.start()


def _step_clock(system: System, chance: random.Random) -> None:
    for offset_seconds in (chance.choice((-1, 1)) * _CLOCK_OFFSET_SECONDS, 0):
        system.clock.set(offset_seconds)
        time.sleep(chance.uniform(*system.pace.unreachable) / 2)


def _let_clocks_differ(system: System, chance: random.Random) -> None:
    other = system.second_worker(chance.choice((-1, 1)) * _CLOCK_OFFSET_SECONDS)
    time.sleep(chance.uniform(*system.pace.unreachable))
    other.terminate()
    other.wait(120)


def _misbehave(name: str, system: System, chance: random.Random) -> None:
    """Rows that a faulty model misbehaves on, among others that it must answer all the same."""
    model = models.BY_NAME[name]
    with system.client() as client:
        for xs in ([-1], [5], [-1, 7], [8], [chance.randrange(models.XS) for _ in range(20)]):
            submit(client, system.journal, model, xs)
        for wait_seconds in (0, 5):
            submit(client, system.journal, model, [-1], wait_seconds=wait_seconds)
            submit(client, system.journal, model, [chance.randrange(models.XS)], wait_seconds=wait_seconds)


def _without_sqlite(system: System) -> str:
    return "" if system.database.name == "sqlite" else "for SQLite"


def _without_server(system: System) -> str:
    return "" if system.database.name == "postgres" else "for PostgreSQL"


def _without_disk(system: System) -> str:
    return system.disk.lacking


def _without_clock(system: System) -> str:
    return system.clock.lacking


def _without_host_names(_: System) -> str:
    return "" if os.geteuid() == 0 and shutil.which("unshare") else "only root may name a host: run it as root"


def _web(system: System) -> Sequence[int]:
    return system.unit.workers_of("web")


def _cluster(system: System) -> Sequence[int]:
    return system.unit.workers_of("worker")


def _named(name: str) -> Harm:
    return partial(_kill, lambda system: system.unit.named(name))


FAULTS = (
    Fault("kill-web", "a process of the web server: kill -9", partial(_kill, _web)),
    Fault("kill-web-main", "granian's first process: kill -9", partial(_kill, lambda s: s.unit.mains("web"))),
    Fault("kill-worker", "a process in the middle of a batch: kill -9", partial(_kill, System.busy_worker)),
    Fault("kill-any-worker", "any process of the cluster: kill -9", partial(_kill, _cluster)),
    Fault("kill-cluster", "django-q2's first process: kill -9", partial(_kill, lambda s: s.unit.mains("worker"))),
    Fault("kill-supervisor", "`manage.py serve` itself: kill -9", partial(_kill, lambda s: s.unit.supervisor())),
    Fault("kill-model", "the process of a model: kill -9", _named("model")),
    Fault("kill-fork-server", "the parent of model processes: kill -9", _named("fork server")),
    Fault("kill-host", "the model host: kill -9", _named("model host")),
    Fault("kill-keeper", "the part that keeps the model host: kill -9", _named("models")),
    Fault("kill-all", "every process at once: kill -9", _kill_all),
    Fault("stop-worker", "a busy worker stands still, past its lease", partial(_stop_for_a_while, System.busy_worker)),
    Fault("pause-workers", "all workers stand still, others take over, they wake up", _pause_workers),
    Fault("lose-host", "another host dies amid a batch, for good", _lose_host, _without_host_names),
    Fault("early-sweep", "a sweep requeues what living workers hold", _sweep_early),
    Fault("stop-web", "a web process stands still", partial(_stop_for_a_while, _web)),
    Fault("database-restart", "PostgreSQL crashes and is started at once", _restart_database, _without_server),
    Fault("database-down", "PostgreSQL crashes and is down for a while", _keep_database_down, _without_server),
    Fault("database-locked", "another process writes to SQLite's file for long", _lock_database, _without_sqlite),
    Fault("storage-unreachable", "the artifact storage refuses, resets or hangs", _make_store_unreachable),
    Fault("queue-purged", "the queue forgets what it held", _purge_queue),
    Fault("disk-full", "no byte can be written: database, storage and logs", _fill_disk, _without_disk),
    Fault("clock-step", "the clock jumps by five minutes, and back", _step_clock, _without_clock),
    Fault("clocks-differ", "a second worker whose clock is wrong by five minutes", _let_clocks_differ, _without_clock),
    *(
        Fault(f"model-{name}", about, partial(_misbehave, name), model=name)
        for name, about in {
            "raises": "a model raises",
            "hangs": "a model never returns",
            "leaks": "a model keeps 32 MB with each call",
            "exits": "a model ends its process: os._exit",
            "quits": "a model ends its process: sys.exit",
            "crashes": "a model ends its process: segmentation fault",
            "hogs": "a model keeps the interpreter to itself",
            "forks": "a model forks",
        }.items()
    ),
)  # fmt: skip
BY_NAME: Mapping[str, Fault] = {fault.name: fault for fault in FAULTS}
# A minute's worth, each of another kind.
SHORT = (
    "kill-web", "kill-worker", "storage-unreachable", "queue-purged", "database-restart", "database-locked",
    "model-raises", "model-exits", "kill-host", "kill-cluster", "kill-supervisor", "early-sweep",
)  # fmt: skip
