"""Which workloads are run, how often, on which systems."""

from collections.abc import Callable
from dataclasses import dataclass, field

from benchmark import workloads
from benchmark.figures import Values
from benchmark.systems import System


@dataclass(frozen=True)
class Effort:
    """How long and how often. Rounds of the systems alternate, because machines are noisy."""

    rounds: int
    seconds: float
    submissions: int
    floor_seconds: float
    rest_of_rounds: int


FULL = Effort(rounds=3, seconds=4.0, submissions=100, floor_seconds=2.0, rest_of_rounds=3)
QUICK = Effort(rounds=3, seconds=1.0, submissions=40, floor_seconds=0.5, rest_of_rounds=1)


@dataclass(frozen=True)
class Round:
    values: Values
    # By process; empty where it was not watched.
    cpu_seconds: Values = field(default_factory=dict)


@dataclass(frozen=True)
class Workload:
    name: str
    fits: Callable[[System], bool]
    measure: Callable[[System, Effort], Round]
    rounds: Callable[[Effort], int] = lambda effort: effort.rounds
    # Whether all systems are stopped first; the workload then starts and stops the one that it measures.
    alone: bool = False


def _sync(rows: int, connections: int) -> Callable[[System, Effort], Round]:
    return lambda system, effort: Round(
        *workloads.sync_watched(system, rows=rows, connections=connections, seconds=effort.seconds)
    )


def _can_wait(system: System) -> bool:
    return system.can_wait


def _can_poll(system: System) -> bool:
    return system.can_poll


def _everybody(_: System) -> bool:
    return True


def _few(effort: Effort) -> int:
    return effort.rest_of_rounds


WORKLOADS = (
    Workload("sync_1row_c1", _can_wait, _sync(rows=1, connections=1)),
    Workload("sync_1row_c32", _can_wait, _sync(rows=1, connections=32)),
    Workload("sync_100rows_c8", _can_wait, _sync(rows=100, connections=8)),
    Workload(
        "async_1row_c1",
        _can_poll,
        lambda system, effort: Round(workloads.async_one_by_one(system, submissions=effort.submissions)),
    ),
    Workload(
        "async_burst_2000_c32",
        _can_poll,
        lambda system, _: Round(workloads.async_burst(system, submissions=2_000)),
        _few,
    ),
    Workload("async_10k_rows", _can_poll, lambda system, _: Round(workloads.async_many_rows(system))),
    # From here on the systems are stopped and started, so that nothing is warm any more.
    Workload("cold_start", _everybody, lambda system, _: Round(workloads.cold_start(system)), _few),
    Workload(
        "rss",
        _everybody,
        lambda system, effort: Round(workloads.memory(system, seconds=effort.seconds)),
        lambda _: 1,
        alone=True,
    ),
)
