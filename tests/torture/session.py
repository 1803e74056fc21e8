"""One run: load, one fault after the other, the recovery after each, and the reckoning at the end."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.torture.clients import Load, look, submit
from tests.torture.faults import Fault
from tests.torture.invariants import check
from tests.torture.journal import Journal
from tests.torture.models import BY_NAME, HEALTHY, QUICK
from tests.torture.system import Pace, System
from tests.torture.unit import proportional_bytes

# Nothing may wait longer than this once a fault is over. Far more than what is due, for slow machines: a lease, a
# sweep each minute, three attempts of a model that hangs.
PATIENCE_SECONDS = 300.0
_LOOK_EVERY_SECONDS = 0.2
# At the end by HTTP, which takes some milliseconds for each; the database is compared with all that was seen.
_READ_ONCE_MORE = 1000


@dataclass
class Figures:
    """Of one kind of fault; times in seconds."""

    injected: int = 0
    accepted: int = 0
    refused: int = 0
    unanswered: int = 0
    violations: int = 0
    recoveries: list[float] = field(default_factory=list)
    # How long callers of healthy models waited meanwhile.
    waited: list[float] = field(default_factory=list)


@dataclass
class Result:
    seed: int
    seconds: float
    database: str
    store: str
    queue: str
    # How long callers waited before models misbehaved.
    quiet: list[float]
    figures: dict[str, Figures]
    skipped: dict[str, str]
    counts: Counter[str]
    violations: list[str]


class Session:
    def __init__(self, system: System, journal: Journal, *, seed: int, pace: Pace) -> None:
        self._system, self._journal, self._seed = system, journal, seed
        self._chance = random.Random(seed)
        self._load = Load(system.unit.url, journal, seed=seed, clients=pace.clients)
        self._figures: dict[str, Figures] = {}
        self._quiet: list[float] = []

    def run(self, faults: Sequence[Fault], seconds: float) -> Result:
        """Each fault at least once; further rounds, in another order each, until the time is up."""
        started = time.monotonic()
        skipped = {fault.name: why for fault in faults if (why := fault.lacking(self._system))}
        for name, why in skipped.items():
            print(f"without {name}: {why}", flush=True)
        chosen = [fault for fault in faults if fault.name not in skipped]
        needed = {fault.model for fault in chosen}
        self._system.begin([*HEALTHY, *(BY_NAME[name] for name in sorted(needed - {""}))])
        self._load.start()
        time.sleep(1)
        try:
            for fault in self._deck(chosen, started + seconds):
                self._suffer(fault)
            self._load.stop_asking()
            self._await("everything that was accepted to end", self._has_nothing_open)
        finally:
            self._load.stop()
        counts = self._reckon()
        return Result(
            self._seed, round(time.monotonic() - started, 1), self._system.database.name, self._system.store.name,
            self._system.queue.name, self._quiet, self._figures, skipped, self._journal.counts + counts,
            self._journal.violations,
        )  # fmt: skip

    def _look_at_quiet(self) -> None:
        """Before each model that misbehaves, for what else the machine does changes from minute to minute."""
        began_at = time.monotonic()
        time.sleep(self._system.pace.quiet)
        self._quiet += self._journal.waited_seconds(QUICK, began_at, time.monotonic())

    def _deck(self, faults: Sequence[Fault], deadline: float) -> Iterator[Fault]:
        is_first = True
        while is_first or time.monotonic() < deadline:
            for fault in self._chance.sample(faults, len(faults)):
                if not is_first and time.monotonic() > deadline:
                    return
                yield fault
            is_first = False

    def _suffer(self, fault: Fault) -> None:
        print(f"{time.strftime('%H:%M:%S')} {fault.name}: {fault.about}", flush=True)
        if fault.model:
            self._look_at_quiet()
        before, began_at = Counter(self._journal.counts), time.monotonic()
        fault.harm(self._system, self._chance)
        over_at, waiting = time.monotonic(), list(self._journal.open.values())
        time.sleep(self._chance.uniform(*self._system.pace.between))
        self._await(f"an answer after {fault.name}", self._answers)
        self._await(f"what had been accepted before the end of {fault.name}", lambda: all(each.end for each in waiting))
        seconds = self._journal.recovery_seconds(began_at=began_at, over_at=over_at)
        added = self._journal.counts - before
        figures = self._figures.setdefault(fault.name, Figures())
        figures.injected += 1
        figures.accepted += added["accepted"]
        figures.refused += added["refused"]
        figures.unanswered += added["unanswered"]
        figures.violations += added["violations"]
        figures.recoveries.append(round(seconds, 1))
        figures.waited += self._journal.waited_seconds(QUICK, began_at, time.monotonic())
        print(f"         {added['accepted']} accepted, recovered in {seconds:.1f} s", flush=True)

    def _answers(self) -> bool:
        """Whether each healthy model answers a new request at once, and another one by way of the workers."""
        try:
            with self._system.client() as client:
                requests = [
                    submit(client, self._journal, model, [1], wait_seconds=wait) for model in HEALTHY for wait in (5, 0)
                ]
                deadline = time.monotonic() + 5
                while not all(each.end or look(client, self._journal, each) for each in requests if each.prediction_id):
                    if time.monotonic() > deadline:
                        return False
                    time.sleep(0.05)
                return all(each.prediction_id for each in requests)
        except httpx.TransportError:
            return False

    def _has_nothing_open(self) -> bool:
        """Also what no client knows of, because its connection broke."""
        rows = "SELECT count(*) FROM predictions_prediction WHERE status IN ('queued', 'running')"
        return not self._journal.open and self._system.database.ask(rows) == [(0,)]

    def _await(self, what: str, condition: Callable[[], bool]) -> None:
        """A violation when it took too long."""
        started = time.monotonic()
        while not condition():
            if time.monotonic() > started + PATIENCE_SECONDS:
                self._journal.violation(f"waited {PATIENCE_SECONDS:.0f} s for {what}")
                return
            time.sleep(_LOOK_EVERY_SECONDS)

    def _reckon(self) -> Counter[str]:
        """Read ended predictions once more, stop the service, and look into the database."""
        counts: Counter[str] = Counter()
        known = list(self._journal.by_id.values())
        with self._system.client() as client:
            for request in self._chance.sample(known, min(_READ_ONCE_MORE, len(known))):
                look(client, self._journal, request)
        counts["MB at the end"] = sum(map(proportional_bytes, self._system.unit.processes())) // 2**20
        status = self._system.end()
        if status != 0:
            self._journal.violation(f"the service ended with status {status} after SIGTERM")
        counts["starts by the unit"] = self._system.unit.restarts
        return counts + check(self._journal, self._system.database, self._system.store)


def read_log(folder: Path) -> str:
    """The last lines that the service wrote, which may say why."""
    logs = sorted(folder.rglob("service-*.log"))
    return "\n".join(logs[-1].read_text(errors="replace").splitlines()[-60:]) if logs else ""
