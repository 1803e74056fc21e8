"""A worker for tests of things that wait: a thread instead of a process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from predictions import tasks


@contextmanager
def draining(*, pause_seconds: float = 0.01) -> Iterator[None]:
    """Drain again and again for as long as the block lasts. Needs a `transactional_db`."""
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(pause_seconds):
            tasks.drain()
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
