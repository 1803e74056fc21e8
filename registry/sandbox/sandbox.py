"""The sandbox for an uploader's code: what a process can no longer do once it has entered. Pure.

Three parts, each as far as the system supports it:

 limits         memory, CPU time, size and number of files, threads; no core dump; root's privileges given up
 system calls   no network, no new process, no signal to others, nothing written except to open files (seccomp)
 files          nothing read but Python, its libraries and what was submitted (Landlock)

A process cannot leave the sandbox. What it has to write must be opened before it enters: files, and sockets for `read`
and `write`, since other calls on sockets are refused. What it shares with a process outside, it can disturb: give it no
descriptor whose position or content matters to another (`fork` and SCM_RIGHTS share both), and no log of the service.
"""

import ctypes
import os
import re
import resource
import signal
import struct
import sys
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from registry.sandbox.landlock import refuse_files
from registry.sandbox.readable_paths import python_and_system, readable_paths
from registry.sandbox.seccomp import prepare_filters, refuse_system_calls

LIMITS, SYSTEM_CALLS, FILES = "limits", "system calls", "files"
PARTS = (LIMITS, SYSTEM_CALLS, FILES)

# Also limits what the artifact's code prints, which goes to a file; the report of a very wide sample takes some MB.
MAX_FILE_BYTES = 2**26
_MAX_OPEN_FILES = 256
# For BLAS, OpenMP and Arrow.
_MORE_THREADS = 64
_PARENT_DEATH_SIGNAL, _DUMPABLE, _NO_NEW_PRIVILEGES = 1, 4, 38
_NEW_USER_NAMESPACE = 0x10000000
# Since then the kernel counts the threads of a user in each namespace by itself.
_COUNTS_BY_NAMESPACE = (5, 14)
_CAPABILITIES_VERSION = 0x20080522
_READ_ALL_FILES = 1 << 2  # CAP_DAC_READ_SEARCH: root may inspect another user's file


@dataclass(frozen=True)
class Sandbox:
    """`readable` are files and folders beside Python's own; `keep_open` descriptors beside 0, 1 and 2. `cpu_seconds` is
    None where somebody else ends what takes too long, as for a process that stays.
    """

    memory_bytes: int
    cpu_seconds: int | None
    readable: tuple[Path, ...] = ()
    keep_open: tuple[int, ...] = ()


def prepare() -> None:
    """Do what `enter` would do in each process, for all that are forked from this one."""
    _libc()
    if sys.platform == "linux":
        python_and_system()
        prepare_filters()


def enter(sandbox: Sandbox) -> tuple[str, ...]:
    """Enter the sandbox irrevocably; returns the parts that are in force. Takes about 2 ms after `prepare`.

    To be called before any thread is started: Landlock restricts only the calling thread.
    """
    readable = readable_paths(sandbox.readable) if sys.platform == "linux" else []
    _close_all_but({0, 1, 2, *sandbox.keep_open})
    is_root = os.getuid() == 0
    _limit(sandbox, None if is_root or sys.platform != "linux" else _most_threads())
    held = [LIMITS]
    if sys.platform == "linux":
        _give_up_privileges(is_root=is_root)
        is_single = len(list(Path("/proc/self/task").iterdir())) == 1
        if refuse_files(readable) and is_single:
            held.append(FILES)
        # The kernel never limits the threads of root.
        if refuse_system_calls(os.getpid(), may_have_threads=not is_root):
            held.append(SYSTEM_CALLS)
    return tuple(part for part in PARTS if part in held)


def _close_all_but(kept: Collection[int]) -> None:
    for number in [int(path.name) for path in Path("/dev/fd").iterdir()]:
        if number not in kept:
            with suppress(OSError):  # the descriptor of the listing itself is closed already
                os.close(number)


def _limit(sandbox: Sandbox, most_threads: int | None) -> None:
    limits = {
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_FSIZE: (MAX_FILE_BYTES, MAX_FILE_BYTES),
        resource.RLIMIT_NOFILE: (_MAX_OPEN_FILES, _MAX_OPEN_FILES),
    }
    if sandbox.cpu_seconds is not None:
        # The soft limit sends SIGXCPU, which differs from running out of memory; the hard one sends SIGKILL.
        limits[resource.RLIMIT_CPU] = (sandbox.cpu_seconds, sandbox.cpu_seconds + 5)
    if sys.platform == "linux":  # macOS refuses a limit of the address space, and has none of threads
        limits[resource.RLIMIT_AS] = (sandbox.memory_bytes, sandbox.memory_bytes)
        if most_threads is not None:
            limits[resource.RLIMIT_NPROC] = (most_threads, most_threads)
    for which, wanted in limits.items():
        _, allowed = resource.getrlimit(which)
        is_free = allowed == resource.RLIM_INFINITY  # a stricter limit that was set before stays
        resource.setrlimit(which, wanted if is_free else (min(wanted[0], allowed), min(wanted[1], allowed)))


def _most_threads() -> int:
    """The limit of threads for a user who is not root.

    In a user namespace of its own this process is counted alone, and no process outside can be looked into, whatever
    else is missing. Where none can be made, what the user runs elsewhere counts as well.
    """
    threads_elsewhere = _threads_of(os.getuid()) if not _counts_by_namespace() else 0
    if _libc().unshare(_NEW_USER_NAMESPACE) != 0 and not threads_elsewhere:
        threads_elsewhere = _threads_of(os.getuid())
    return threads_elsewhere + _MORE_THREADS


def _counts_by_namespace() -> bool:
    major, minor = re.findall(r"\d+", os.uname().release)[:2]
    return (int(major), int(minor)) >= _COUNTS_BY_NAMESPACE


def _threads_of(user: int) -> int:
    """How many threads the user has, as far as this process can see."""
    count = 0
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            with suppress(OSError):  # it ended meanwhile
                threads = (process / "task").stat()
                count += threads.st_nlink - 2 if threads.st_uid == user else 0
    return count


def _give_up_privileges(*, is_root: bool) -> None:
    """Give up root's privileges and those in a namespace, and make it impossible to gain any; let the process end with
    its parent, and no other process of this user read its memory, nor a program that handles crashes.
    """
    libc = _libc()
    for option, value in ((_PARENT_DEATH_SIGNAL, signal.SIGKILL), (_DUMPABLE, 0), (_NO_NEW_PRIVILEGES, 1)):
        libc.prctl(option, *map(ctypes.c_ulong, (value, 0, 0, 0)))
    kept = _READ_ALL_FILES if is_root else 0
    # effective, permitted and inheritable, each in two halves. A process with fewer is refused and gives up all.
    if libc.capset(struct.pack("Ii", _CAPABILITIES_VERSION, 0), struct.pack("6I", kept, kept, 0, 0, 0, 0)) != 0:
        libc.capset(struct.pack("Ii", _CAPABILITIES_VERSION, 0), bytes(24))


@cache
def _libc() -> ctypes.CDLL:
    """Kept, because opening it takes longer than a call."""
    return ctypes.CDLL(None, use_errno=True)
