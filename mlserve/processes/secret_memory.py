"""Secrets of a process that other processes of the same user could read: its memory and its first environment.

A model's process runs as the same user. Landlock keeps it from looking into others; without Landlock, this does.
"""

import ctypes
import os
import sys
from collections.abc import Collection
from pathlib import Path

_PR_SET_DUMPABLE = 4
# In /proc/self/stat, behind the name of the program, which may contain anything: proc_pid_stat(5), less three.
_ENVIRONMENT_START, _ENVIRONMENT_END = 47, 48


def hide_memory() -> None:
    """Refuse other processes of this user this one's memory, environment and descriptors; Linux only.

    It holds for processes that are forked from this one, and not for programs that it executes. There are no core dumps
    any more, and only root can debug or profile this process, or read its `smaps`. Files in /proc/self belong to root.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def forget_variables(names: Collection[str]) -> None:
    """Remove variables from the environment, and all values from where the kernel shows those that the process started
    with (/proc/PID/environ), which changes in `os.environ` do not reach; Linux only.

    To be called while there is no other thread, because the C library's environment is in no lock.
    """
    for name in os.environ.keys() & set(names):
        del os.environ[name]
    if sys.platform != "linux":
        return
    for name, value in os.environ.items():
        os.environ[name] = value  # the C library copies it, and refers to the copy from now on
    stat = Path("/proc/self/stat").read_text("utf-8", errors="replace").rpartition(")")[2].split()
    start, end = int(stat[_ENVIRONMENT_START]), int(stat[_ENVIRONMENT_END])
    ctypes.memset(start, 0, end - start)
