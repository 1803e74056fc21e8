"""Whether the workers of this cluster were asked to stop: a flag in memory that they share with it."""

import mmap

# Made before the workers are forked, and without a file: a function on Lambda has no place for one. A signal handler
# sets it, so it has no lock.
_flag = mmap.mmap(-1, 1)


def ask(wanted: bool = True) -> None:
    """Called in the process of the cluster; `False` at its start."""
    _flag[0] = wanted


def is_asked() -> bool:
    return bool(_flag[0])
