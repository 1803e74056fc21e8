"""A worker for tests that wait for an inspection: a thread instead of a process."""

from contextlib import AbstractContextManager

from registry.uploads.worker import inspect_next
from tests.meanwhile import repeating


def inspecting(*, pause_seconds: float = 0.05) -> AbstractContextManager[None]:
    """Inspect whatever is submitted for as long as the block lasts. Needs a `transactional_db`."""
    return repeating(lambda: inspect_next(holder="a worker of the tests"), pause_seconds=pause_seconds)
