"""Who gets a core first. Pure."""

import os
from contextlib import suppress

# A tenth of what a process of the usual priority gets that wants the same core.
_NICE = 10


def yield_to_others(pid: int) -> bool:
    """Lower the priority of a process of this user. False for 0, which stands for one that is not known yet."""
    if pid:
        with suppress(OSError):  # it has ended meanwhile
            os.setpriority(os.PRIO_PROCESS, pid, _NICE)
    return bool(pid)


def take_back(pid: int) -> bool:
    """Give it the usual priority again; whether that was possible: only root may."""
    try:
        os.setpriority(os.PRIO_PROCESS, pid, 0)
    except OSError:
        return False
    return True
