"""The service as a unit of systemd: however it ends, it is started again; and its processes, read from /proc."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.flows.service import Service

_RESTART_SECONDS = 1.0
_LOOK_EVERY_SECONDS = 0.1
# What is left of a killed service answers what it has accepted, and then ends.
_LEFTOVERS_SECONDS = 120
_LONGEST_NAME = 15


class Unit(Service):
    """`launch` once, then `guard`; `end` stops it for good."""

    def __init__(
        self, folder: Path, variables: Mapping[str, str], *, when_wrong: Callable[[str], None] = lambda _: None
    ) -> None:
        # On Python's path, because the model host and its children get that and nothing else of the environment.
        mark = folder / "mark"
        super().__init__(folder, variables={**variables, "PYTHONPATH": str(mark)})
        self._mark = str(mark).encode()
        self._when_wrong = when_wrong
        self._is_ending = threading.Event()
        self._guard = threading.Thread(target=self._watch, name="unit", daemon=True)
        self.restarts = 0

    def guard(self) -> None:
        self._guard.start()

    def end(self) -> int:
        """Its exit status after SIGTERM; complains when a process is left."""
        self._is_ending.set()
        self._guard.join(_LEFTOVERS_SECONDS + 10)
        status = self.stop() if self.process and self.process.poll() is None else -1
        self._wait_for_leftovers()
        return status

    def _watch(self) -> None:
        while not self._is_ending.wait(_LOOK_EVERY_SECONDS):
            if self.process is not None and self.process.poll() is not None:
                self._wait_for_leftovers()
                self._is_ending.wait(_RESTART_SECONDS)
                self.restarts += 1
                self.launch()

    def _wait_for_leftovers(self) -> None:
        deadline = time.monotonic() + _LEFTOVERS_SECONDS
        while left := self.processes():
            if time.monotonic() > deadline:
                self._when_wrong(f"processes are left over: {[_name_of(pid) for pid in left]}")
                for pid in left:
                    send(pid, signal.SIGKILL)
                return
            time.sleep(_LOOK_EVERY_SECONDS)

    def processes(self) -> list[int]:
        """All that were started with this service's environment, whatever their parent is by now."""
        return [pid for pid in _all() if self._mark in _read(pid, "environ") and _is_alive(pid)]

    def supervisor(self) -> list[int]:
        return [self.process.pid] if self.process is not None and self.process.poll() is None else []

    def mains(self, part: str) -> list[int]:
        """The first process of a part, `web`, `worker` or `models`: its parent is the supervisor."""
        return [pid for pid in self.named(part) if _parent(pid) in self.supervisor()]

    def workers_of(self, part: str) -> list[int]:
        """The processes below the first one of a part."""
        mains = self.mains(part)
        return [pid for pid in self.named(part) if _parent(pid) in mains]

    def named(self, name: str) -> list[int]:
        """By what mlserve/processes/naming.py has written, which Linux cuts."""
        return [pid for pid in self.processes() if _name_of(pid) == f"mlserve {name}"[:_LONGEST_NAME]]


def send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def proportional_bytes(pid: int) -> int:
    """Its memory; of what it shares with others, its share."""
    for line in _read(pid, "smaps_rollup").splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def _all() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def _name_of(pid: int) -> str:
    return _read(pid, "comm").decode(errors="replace").strip()


def _parent(pid: int) -> int:
    # The name in parentheses may hold anything, also spaces.
    rest = _read(pid, "stat").rpartition(b")")[2].split()
    return int(rest[1]) if rest else 0


def _is_alive(pid: int) -> bool:
    rest = _read(pid, "stat").rpartition(b")")[2].split()
    return bool(rest) and rest[0] not in (b"Z", b"X")
