"""Child processes: forked, so that they share the memory of what their parent has imported, or executed anew.

Forking halves the memory of a service and most of its start time (docs/decisions/0004-one-fork-tree.md), but it is safe
only where the system's libraries work after it: on macOS they do not. A parent that forks must have no other thread,
no open database connection, and no unpickled model, because the effects of its code would reach all children.
"""

import contextlib
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Protocol

from mlserve.processes.naming import name_this_process
from mlserve.processes.orphans import end_with_parent

log = logging.getLogger(__name__)

CAN_FORK = sys.platform == "linux"
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Child(Protocol):
    """A process that leads a session of its own, so that Ctrl-C reaches its parent alone."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None:
        """The exit status, negative for a signal, or None while it runs."""

    def kill_all(self) -> None:
        """Kill it and all processes of its group, and wait for it."""


class _Executed:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid = process.pid

    def poll(self) -> int | None:
        return self._process.poll()

    def kill_all(self) -> None:
        _kill_group(self.pid)
        self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()


class _Forked:
    def __init__(self, process: "multiprocessing.context.ForkProcess") -> None:
        self._process = process
        self.pid = process.pid or 0

    def poll(self) -> int | None:
        return self._process.exitcode

    def kill_all(self) -> None:
        _kill_group(self.pid)
        self._process.kill()  # one that was forked a moment ago has no group yet
        self._process.join()


def execute(command: Sequence[str]) -> Child:
    """Run a command; its standard input ends with this process (`orphans.end_with_input`)."""
    environment = {**os.environ, "MLSERVE_SUPERVISED": "1"}
    process = subprocess.Popen(list(command), stdin=subprocess.PIPE, start_new_session=True, env=environment)
    return _Executed(process)


def fork(name: str, main: Callable[[], None]) -> Child:
    """Run `main` in a copy of this process, which is asked to stop when this one dies; Linux only."""
    process = multiprocessing.get_context("fork").Process(target=_run, args=(name, main, os.getpid()), name=name)
    # Until the child has handlers of its own it would treat a signal as its parent does, which only counts it.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    return _Forked(process)


def _run(name: str, main: Callable[[], None], parent: int) -> None:
    os.setsid()
    for each in _SIGNALS:
        if signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    end_with_parent(parent)
    name_this_process(name)
    try:
        main()
    except Exception:  # multiprocessing would print it in lines of its own
        log.critical("The %s ended by an unexpected error", name, exc_info=True)
        sys.exit(1)


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
