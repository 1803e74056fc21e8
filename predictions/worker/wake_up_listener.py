"""A worker that listens for wake-ups after its work, and so learns of each submission directly.

A task of django-q2's for each submission would take ten times as long. One worker of a host listens; it stops during a
call that may be long, so that a submission meanwhile calls another worker.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from django.db import connection

from predictions.queue import wake_ups

# After this long, a call that was expected to be quick counts as long.
_LONG_SECONDS = 1.0


class WakeUpListener:
    """A context in which this worker listens, if no other worker of the host does."""

    def __init__(self) -> None:
        self._local_socket = wake_ups.listener_socket()
        self._call_started: float | None = None
        self._lock = threading.Lock()
        self._has_stopped = True
        self._ended = threading.Event()
        self._watcher = threading.Thread(target=self._watch_calls, name="wake-up-listener", daemon=True)

    def __enter__(self) -> Self:
        self._has_stopped = not self._local_socket.listen()
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._watcher.join()
        self._local_socket.close()

    def wait(self, timeout_seconds: float) -> bool:
        """Whether there may be new predictions; False when the time is up or another worker listens."""
        if timeout_seconds <= 0 or not self._local_socket.listen():
            return False
        if self._has_stopped:
            # A submission meanwhile has called another worker, but perhaps there is none, or it is busy.
            self._has_stopped = False
            return True
        return self._local_socket.wait(timeout_seconds)

    def stop_listening(self) -> None:
        """Let another worker listen, until the next `wait`."""
        self._has_stopped = True
        self._local_socket.close()

    @contextmanager
    def call(self) -> Iterator[None]:
        """Around a call that is expected to be quick: if it takes long, another worker may listen."""
        self._call_started = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._call_started = None

    def _watch_calls(self) -> None:
        reported = None
        while not self._ended.wait(_LONG_SECONDS / 4):
            with self._lock:  # after the call, only the waiting thread may use the socket
                started = self._call_started
                is_long = started is not None and time.monotonic() > started + _LONG_SECONDS
                if is_long:
                    self.stop_listening()
            if is_long and started != reported:
                wake_ups.call_worker()
                reported = started
        connection.close()  # this thread's own
