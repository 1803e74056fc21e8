"""Work of other processes, done by threads of the test."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from django.db import connection

Result = TypeVar("Result")


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


def at_once(*works: Callable[[], Result], timeout_seconds: float = 60) -> list[Result]:
    """What each of `works` returned, run in threads that start together. Raises what the first of them raised."""
    barrier = threading.Barrier(len(works))

    def run(work: Callable[[], Result]) -> Result:
        try:
            barrier.wait(timeout_seconds)
            return work()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(works)) as threads:
        return list(threads.map(run, works, timeout=timeout_seconds))
