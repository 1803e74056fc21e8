"""Work of another process, done by a thread of the test."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def repeating(work: Callable[[], object], *, pause_seconds: float) -> Iterator[None]:
    """Call `work` again and again for as long as the block lasts. Needs a `transactional_db`."""
    stop = threading.Event()

    def repeat() -> None:
        while not stop.wait(pause_seconds):
            work()
        connection.close()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
