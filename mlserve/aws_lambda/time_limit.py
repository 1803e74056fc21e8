"""A limit for calls that may hang, in a process that no guard replaces: that of a function on Lambda.

The alarm's signal ends a call as soon as Python has a say in it. A library that never returns to Python does not let
it have one; then a thread in C writes the stacks of all threads to stderr, which is the log, and ends the process.
"""

import faulthandler
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# From the alarm to the end of the process: time for whatever the exception has to pass through.
GRACE_SECONDS = 5.0
_STDERR = 2


class TimeLimitReached(BaseException):
    """Not an Exception: neither the model nor the search for bad rows may take it for an error of their own."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raises TimeLimitReached in the block after `seconds`; ends the process when that does not end the block.

    One at a time per process. In another thread than the main one, which no signal reaches, only the latter happens.
    """
    faulthandler.dump_traceback_later(seconds + GRACE_SECONDS, exit=True, file=_STDERR)
    try:
        if threading.current_thread() is threading.main_thread():
            with _alarm(seconds):
                yield
        else:
            yield
    finally:
        faulthandler.cancel_dump_traceback_later()


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    def give_up(_number: int, _frame: FrameType | None) -> None:
        raise TimeLimitReached(f"The call took longer than {seconds:g} s.")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
