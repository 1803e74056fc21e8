"""A worker for tests of things that wait: a thread instead of a process."""

from contextlib import AbstractContextManager

from predictions import tasks
from tests.meanwhile import repeating


def draining_worker(*, pause_seconds: float = 0.01) -> AbstractContextManager[None]:
    """Drain again and again for as long as the block lasts. Needs a `transactional_db`."""
    return repeating(tasks.drain, pause_seconds=pause_seconds)
