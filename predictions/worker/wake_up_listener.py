"""A worker that listens for wake-ups after its work, and so hears of each submission directly.

A task of django-q2's for each submission would take ten times as long. One worker of a host listens; it stops while it
makes a call that may be long, so that a submission meanwhile calls another worker.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from django.db import connection

from predictions.queue import wake_ups

# When a call that was expected to be quick is no longer waited for.
_LONG_SECONDS = 1.0


class WakeUpListener:
    """As a context: listens from the beginning to the end, if no other worker of the host does."""

    def __init__(self) -> None:
        self._local_socket = wake_ups.listener_socket()
        self._call_started: float | None = None
        self._lock = threading.Lock()
        self._is_aside = True
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._look_after_calls, name="attendance", daemon=True)

    def __enter__(self) -> Self:
        self._is_aside = not self._local_socket.listen()
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._watch.join()
        self._local_socket.close()

    def wait(self, timeout_seconds: float) -> bool:
        """Whether there may be something new to look for; False when the time is up or another worker attends."""
        if timeout_seconds <= 0 or not self._local_socket.listen():
            return False
        if self._is_aside:
            # A submission meanwhile has called another worker, but perhaps there is none, or it is busy.
            self._is_aside = False
            return True
        return self._local_socket.wait(timeout_seconds)

    def stop_listening(self) -> None:
        """Let another worker attend, until the next `wait`."""
        self._is_aside = True
        self._local_socket.close()

    @contextmanager
    def call(self) -> Iterator[None]:
        """Around a call that is expected to be quick: should it take long, another worker attends."""
        self._call_started = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._call_started = None

    def _look_after_calls(self) -> None:
        relieved_of = None
        while not self._ended.wait(_LONG_SECONDS / 4):
            with self._lock:  # once the call has ended, the bell is the waiting thread's
                started = self._call_started
                is_long = started is not None and time.monotonic() > started + _LONG_SECONDS
                if is_long:
                    self.stop_listening()
            if is_long and started != relieved_of:
                wake_ups.call_worker()
                relieved_of = started
        connection.close()  # this thread's own
