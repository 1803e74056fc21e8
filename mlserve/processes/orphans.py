"""Processes that end when the one that started them has ended, even by a kill."""

import ctypes
import os
import signal
import sys
import threading

_PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int | None = None, *, by: signal.Signals = signal.SIGTERM) -> None:
    """Let the kernel send a signal to this process when its parent dies (Linux; elsewhere nothing happens).

    `parent` is the expected parent: the kernel sends nothing when it died before this call.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, by)
        if parent is not None and os.getppid() != parent:
            os.kill(os.getpid(), by)


def end_with_input() -> None:
    """Send SIGTERM to this process when its standard input ends: the death of the supervisor closes it.

    Unlike `end_with_parent` it works on every system, and the supervisor may be any ancestor.
    """

    def watch() -> None:
        while os.read(0, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="end-with-input", daemon=True).start()
