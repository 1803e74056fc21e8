"""Models, their processes and their waiting calls, and which process to start or to end next. Pure."""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from math import inf
from typing import Any

from predictions.model_host.peer import Peer

# A call that waited for so long behind another one gets a process of its own, where a core is idle.
_GROW_AFTER_SECONDS = 0.1
# A further process of a version that was not needed for so long is ended.
_SHRINK_AFTER_SECONDS = 30.0
# A process that is called for so long yields to others: it may keep a core to itself.
_LONG_SECONDS = 1.0
# Of its time, so much is the whole: the rest may have passed before it began.
_WHOLE_SHARE = 0.9
# More processes are not loaded at a time: what they need is known when they are.
_MOST_LOADING = 4
# A process that grew by so much, and to more than twice its size, is replaced: its model leaks.
_LEAKED_BYTES = 2**28


@dataclass(frozen=True)
class Limits:
    """`cache_bytes` is what all processes may have together beside what they share; `cores` may be busy at a time."""

    cache_bytes: int
    cores: int


@dataclass(frozen=True)
class Ending:
    """Why a process was ended, or how it ended itself: a kind of incident, and words for people."""

    kind: str
    detail: str

    def facts(self, *, is_first: bool) -> dict[str, object]:
        """`is_first`: of all clients that are told of it, so that one of them reports it."""
        return {"kind": self.kind, "detail": self.detail, "is_first": is_first}


class State(Enum):
    LOADING = "loading"
    IDLE = "idle"
    BUSY = "busy"
    ENDING = "ending"


@dataclass(eq=False)
class Call:
    """`seconds` is the longest time that it may run, from when it is handed over; at `until` its client takes it back,
    however long it has waited for others.
    """

    client: Peer
    body: bytes
    seconds: float
    queued_at: float
    until: float


@dataclass(eq=False)
class ModelProcess:
    """`begun_at` is when it was forked or got its call, `until` when that must have ended; `verdict` is why the host
    ends it; it `has_yielded` when others are served before it.
    """

    model: "Model"
    peer: Peer
    dump: int
    until: float
    out_of_memory_before: int
    pid: int = 0
    state: State = State.LOADING
    call: Call | None = None
    facts: dict[str, object] = field(default_factory=dict)
    loaded_bytes: int = 0
    size_bytes: int = 0
    measured_at: float = -inf
    idle_since: float = inf
    begun_at: float = inf
    has_yielded: bool = False
    verdict: Ending | None = None
    is_closed: bool = False

    @property
    def is_idle(self) -> bool:
        return self.state is State.IDLE and not self.is_closed

    def takes_long(self, now: float) -> bool:
        """Whether others should be served before it from now on."""
        return self.state is State.BUSY and not self.has_yielded and now >= self.begun_at + _LONG_SECONDS

    @property
    def most_seconds(self) -> float:
        """That loading, or its call, may take."""
        return self.model.load_seconds if self.call is None else self.call.seconds

    def had_its_time(self, now: float) -> bool:
        """Not a call that has waited for others instead, or that was cut because the service stops."""
        return now >= self.begun_at + _WHOLE_SHARE * self.most_seconds

    def begin(self, call: "Call", now: float, most_seconds: float) -> None:
        self.state, self.call = State.BUSY, call
        self.begun_at, self.until = now, min(now + min(call.seconds, most_seconds), call.until)

    @property
    def has_leaked(self) -> bool:
        grown = self.size_bytes - self.loaded_bytes
        return grown > max(_LEAKED_BYTES, self.loaded_bytes)


@dataclass(eq=False)
class Model:
    """One version as its client specified it. It is known as long as it has a process, or a call waits for one."""

    key: str
    specification: bytes
    artifact: int
    load_seconds: float
    processes: list[ModelProcess] = field(default_factory=list)
    waiting: deque[Call] = field(default_factory=deque)
    loading: list[Peer] = field(default_factory=list)

    @property
    def living(self) -> list[ModelProcess]:
        return [process for process in self.processes if process.state is not State.ENDING]

    def idle(self) -> ModelProcess | None:
        """The one that was used last: its memory is warm, and the others may be ended."""
        if len(self.processes) == 1:
            return self.processes[0] if self.processes[0].is_idle else None
        idle = [process for process in self.processes if process.is_idle]
        return max(idle, key=lambda process: process.idle_since, default=None)


def processes_of(models: Iterable[Model]) -> Iterator[ModelProcess]:
    for model in models:
        yield from model.processes


def overview(models: Iterable[Model]) -> dict[str, Any]:
    """For people and checks: plain values."""
    facts = [
        {"key": each.model.key, "pid": each.pid, "state": each.state.value, "bytes": each.size_bytes}
        for each in processes_of(models)
    ]
    return {"pid": os.getpid(), "processes": facts}


def needs_process(model: Model, models: Iterable[Model], limits: Limits, now: float) -> bool:
    """Whether to start a process for what waits: the first one, or a further one that pays.

    It pays where a call waits for a long one while a core is idle, and memory for it is free.
    """
    living, everything = model.living, list(processes_of(models))
    if sum(process.state is State.LOADING for process in everything) >= max(_MOST_LOADING, limits.cores):
        return False
    if not living:
        return bool(model.waiting or model.loading)
    if not model.waiting or any(process.state in (State.LOADING, State.IDLE) for process in living):
        return False
    if now < model.waiting[0].queued_at + _GROW_AFTER_SECONDS:
        return False
    busy = sum(process.state in (State.LOADING, State.BUSY) for process in everything)
    taken = sum(process.size_bytes for process in everything)
    one_more = max(process.size_bytes for process in living)
    return busy < limits.cores and taken + one_more <= limits.cache_bytes


def to_evict(models: Iterable[Model], limits: Limits) -> list[ModelProcess]:
    """Idle processes, least recently used first, until the others fit. The idle one that was used last always stays:
    it may have been loaded for a call that is about to come.
    """
    everything = [process for process in processes_of(models) if process.state is not State.ENDING]
    excess = sum(process.size_bytes for process in everything) - limits.cache_bytes
    idle = sorted((each for each in everything if each.is_idle), key=lambda each: each.idle_since)
    evicted = []
    for process in idle[:-1]:
        if excess <= 0:
            break
        evicted.append(process)
        excess -= process.size_bytes
    return evicted


def not_needed(model: Model, now: float) -> Iterator[ModelProcess]:
    """Further processes of a version that were idle for long."""
    idle = sorted((process for process in model.living if process.is_idle), key=lambda process: process.idle_since)
    for process in idle[: len(model.living) - 1]:
        if now > process.idle_since + _SHRINK_AFTER_SECONDS:
            yield process
