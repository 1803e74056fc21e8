"""Run programs together: restart what dies, stop all when one dies for good, stop in order when asked.

Small on purpose: a well-kept supervisor either ends everything at the first death (honcho) or is a service of
its own with a configuration file (supervisord).
"""

import contextlib
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

log = logging.getLogger(__name__)

DEATHS, WITHIN_SECONDS = 5, 60.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.2, 5.0
_LOOK_EVERY_SECONDS = 0.2


@dataclass(frozen=True)
class Program:
    """`stop_seconds` is how long it may take to end by itself after SIGTERM."""

    name: str
    command: Sequence[str]
    stop_seconds: float


@dataclass
class _Running:
    program: Program
    process: subprocess.Popen[bytes]
    deaths: list[float] = field(default_factory=list)
    restart_at: float | None = None


class Supervisor:
    """Programs start in the given order and stop in the reverse one, each after the one before has ended."""

    def __init__(self, programs: Sequence[Program], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._programs = programs
        self._clock = clock
        self._stop = threading.Event()
        self._hurry = threading.Event()
        self._running: list[_Running] = []

    def ask_to_stop(self, *_: object) -> None:
        """The first time gently, the second time at once. A signal handler."""
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    def run(self, when_started: Callable[[], None] = lambda: None) -> int:
        """Blocks until asked to stop (0), or until a program died `DEATHS` times within `WITHIN_SECONDS` (1)."""
        signals = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        before = [signal.signal(each, self.ask_to_stop) for each in signals]
        try:
            self._running = [_Running(program, _start(program)) for program in self._programs]
            threading.Thread(target=when_started, daemon=True).start()
            return self._guard()
        finally:
            for running in reversed(self._running):
                self._end(running)
            for each, handler in zip(signals, before, strict=True):
                signal.signal(each, handler)

    def _guard(self) -> int:
        while not self._stop.wait(_LOOK_EVERY_SECONDS):
            for running in self._running:
                if running.restart_at is not None:
                    if self._clock() >= running.restart_at:
                        running.process, running.restart_at = _start(running.program), None
                elif running.process.poll() is not None and self._died_for_good(running):
                    return 1
        return 0

    def _died_for_good(self, running: _Running) -> bool:
        now = self._clock()
        _kill_group(running.process)
        running.deaths = [death for death in running.deaths if death > now - WITHIN_SECONDS] + [now]
        code, name = running.process.returncode, running.program.name
        if len(running.deaths) >= DEATHS:
            log.error("The %s died %d times within a minute (last status %d); stopping.", name, DEATHS, code)
            return True
        pause = min(_FIRST_PAUSE_SECONDS * 2 ** (len(running.deaths) - 1), _LONGEST_PAUSE_SECONDS)
        log.error("The %s died (status %d); starting it again in %.1f s.", name, code, pause)
        running.restart_at = now + pause
        return False

    def _end(self, running: _Running) -> None:
        process = running.process
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        deadline = self._clock() + running.program.stop_seconds
        while process.poll() is None and self._clock() < deadline and not self._hurry.is_set():
            time.sleep(0.05)
        if process.poll() is None:
            log.warning("The %s did not stop in time and is killed.", running.program.name)
        _kill_group(process)


def _start(program: Program) -> subprocess.Popen[bytes]:
    """In a session of its own, so that Ctrl-C reaches the supervisor alone; its input ends with the supervisor."""
    environment = {**os.environ, "MLSERVE_SUPERVISED": "1"}
    return subprocess.Popen(list(program.command), stdin=subprocess.PIPE, start_new_session=True, env=environment)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """The program and whatever it left behind."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin:
        process.stdin.close()
