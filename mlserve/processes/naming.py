"""The name of this process in `ps -o comm`, `top` and `pgrep`."""

import ctypes
import sys

_PR_SET_NAME, _LONGEST = 15, 15


def name_this_process(name: str) -> None:
    """Linux only; the command line stays that of the parent.

    /proc/self/comm would do the same, but belongs to root once `hide_memory` was called.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_NAME, f"mlserve {name}"[:_LONGEST].encode())
