"""Whether the workers of this cluster were asked to stop: a flag in memory that they share with it."""

import multiprocessing
from typing import Any

# Made before the workers are forked. A signal handler sets it, so it has no lock.
_is_asked: Any = multiprocessing.RawValue("b", 0)


def ask(wanted: bool = True) -> None:
    """Called in the process of the cluster; `False` at its start."""
    _is_asked.value = wanted


def is_asked() -> bool:
    return bool(_is_asked.value)
