"""A worker for tests that wait for an inspection: a thread instead of a process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from registry.upload_inspection import inspect_next


@contextmanager
def inspecting(*, pause_seconds: float = 0.05) -> Iterator[None]:
    """Inspect whatever is submitted for as long as the block lasts. Needs a `transactional_db`."""
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(pause_seconds):
            inspect_next(holder="a worker of the tests")
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
