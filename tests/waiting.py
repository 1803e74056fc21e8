"""Waiting for what another thread or process does, where nothing tells of it."""

import time
from collections.abc import Callable

PATIENCE_SECONDS = 30.0
_LOOK_EVERY_SECONDS = 0.005


def wait_until(
    condition: Callable[[], object],
    what: str | Callable[[], str] = "it",
    *,
    seconds: float = PATIENCE_SECONDS,
    look_every_seconds: float = _LOOK_EVERY_SECONDS,
) -> None:
    """Returns as soon as the condition holds. `what` was waited for, as the failure says it."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what if isinstance(what, str) else what()}"
        time.sleep(look_every_seconds)
