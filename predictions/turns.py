"""SQLite has one writer at a time: the threads of a process take turns here.

Left to SQLite, a thread that finds the database locked sleeps and looks again, up to 100 ms later; with many threads
most of the time goes by in sleep. A lock of the process wakes the next one at once, and only processes compete.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

_turn = threading.Lock()


@contextmanager
def writing() -> Iterator[None]:
    """Around one short write. Databases that have many writers do not wait here."""
    if connection.vendor != "sqlite":
        yield
        return
    with _turn:
        yield
