"""Run programs together: restart what dies, stop all when one dies for good, stop in order when asked.

Small on purpose: existing supervisors either end everything at the first death (honcho) or are a service of
their own with a configuration file (supervisord). This one has one thread, so that it can fork again at any time.
"""

import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mlserve.processes.children import Child

log = logging.getLogger(__name__)

DEATHS, WITHIN_SECONDS = 5, 60.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.2, 5.0
_LOOK_EVERY_SECONDS = 0.1


@dataclass(frozen=True)
class Program:
    """`stop_seconds` is how long it may take to end by itself after SIGTERM; `restart_status` is the exit status by
    which it requests a restart, which is granted any number of times.
    """

    name: str
    start: Callable[[], Child]
    stop_seconds: float
    restart_status: int | None = None


@dataclass
class _Running:
    program: Program
    process: Child
    deaths: list[float] = field(default_factory=list)
    wishes: list[float] = field(default_factory=list)
    restart_at: float | None = None


class Supervisor:
    """Programs start in the given order and stop in the reverse one, each after the previous one has ended.

    `when_stopping` is called before the first of them is asked to stop.
    """

    def __init__(
        self,
        programs: Sequence[Program],
        *,
        when_stopping: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._programs, self._when_stopping = programs, when_stopping
        self._clock = clock
        self._asked_to_stop = 0
        self._running: list[_Running] = []

    def ask_to_stop(self, *_: object) -> None:
        """The first call stops in order, the second at once. A signal handler, so it only counts: the thread that it
        interrupts may hold an Event's lock.
        """
        self._asked_to_stop += 1

    def run(self, at_each_look: Callable[[], None] = lambda: None) -> int:
        """Blocks until asked to stop (0), or until a program died `DEATHS` times within `WITHIN_SECONDS` (1).

        `at_each_look` is called several times a second and must be quick.
        """
        signals = [signal.SIGTERM, signal.SIGINT]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup, where the terminal may end
            signals.append(signal.SIGHUP)
        before = [signal.signal(each, self.ask_to_stop) for each in signals]
        try:
            for program in self._programs:
                self._running.append(_Running(program, program.start()))
            return self._guard(at_each_look)
        finally:
            self._when_stopping()
            for running in reversed(self._running):
                self._end(running)
            for each, handler in zip(signals, before, strict=True):
                signal.signal(each, handler)

    def _guard(self, at_each_look: Callable[[], None]) -> int:
        while not self._asked_to_stop:
            for running in self._running:
                if running.restart_at is not None:
                    is_over = self._clock() >= running.restart_at and self._cannot_be_started(running)
                else:
                    is_over = (status := running.process.poll()) is not None and self._died_for_good(running, status)
                if is_over:
                    return 1
            at_each_look()
            time.sleep(_LOOK_EVERY_SECONDS)
        return 0

    def _cannot_be_started(self, running: _Running) -> bool:
        try:
            running.process, running.restart_at = running.program.start(), None
        except OSError as error:  # for instance for lack of memory, which may be temporary
            log.error("The %s cannot be started: %s", running.program.name, error)  # noqa: TRY400
            return self._is_given_up(running, status=1)
        return False

    def _died_for_good(self, running: _Running, status: int) -> bool:
        running.process.kill_all()
        return self._is_given_up(running, status)

    def _is_given_up(self, running: _Running, status: int) -> bool:
        """If it is not, it is started again after a pause."""
        now = self._clock()
        name, is_wish = running.program.name, status == running.program.restart_status
        (running.wishes if is_wish else running.deaths).append(now)
        running.deaths = [death for death in running.deaths if death > now - WITHIN_SECONDS]
        running.wishes = [wish for wish in running.wishes if wish > now - WITHIN_SECONDS]
        if len(running.deaths) >= DEATHS:
            log.error("The %s died %d times within a minute (last status %d); stopping.", name, DEATHS, status)
            return True
        pauses = len(running.deaths) + len(running.wishes) - 1
        pause = min(_FIRST_PAUSE_SECONDS * 2**pauses, _LONGEST_PAUSE_SECONDS)
        log.error("The %s died (status %d); starting it again in %.1f s.", name, status, pause)
        running.restart_at = now + pause
        return False

    def _end(self, running: _Running) -> None:
        if running.restart_at is not None:
            return  # it died, and its process id may be in use again
        process = running.process
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGTERM)
        deadline = self._clock() + running.program.stop_seconds
        while process.poll() is None and self._clock() < deadline and self._asked_to_stop < 2:
            time.sleep(0.05)
        if process.poll() is None:
            log.warning("The %s did not stop in time and is killed.", running.program.name)
        process.kill_all()
