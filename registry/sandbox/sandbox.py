"""The sandbox for an uploader's code: what a process can no longer do once it has entered. Pure.

Three parts, each as far as the system supports it:

 limits         memory, CPU time, size and number of files, threads; no core dump; root's privileges given up
 system calls   no network, no new process, no signal to others, nothing written except to open files (seccomp)
 files          nothing read but Python, its libraries and what was submitted (Landlock)

A process cannot leave the sandbox. Files that it has to write must be opened before it enters.
"""

import ctypes
import os
import resource
import signal
import struct
import sys
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from registry.sandbox.landlock import LIST, READ, refuse_files
from registry.sandbox.seccomp import refuse_system_calls

LIMITS, SYSTEM_CALLS, FILES = "limits", "system calls", "files"
PARTS = (LIMITS, SYSTEM_CALLS, FILES)

# Also limits what the artifact's code prints, which goes to a file; the report of a very wide sample takes some MB.
MAX_FILE_BYTES = 2**26
_MAX_OPEN_FILES = 256
# For BLAS, OpenMP and Arrow, in addition to the threads that the user has already.
_MORE_THREADS = 64
_PARENT_DEATH_SIGNAL, _NO_NEW_PRIVILEGES = 1, 38
_CAPABILITIES_VERSION = 0x20080522
_READ_ALL_FILES = 1 << 2  # CAP_DAC_READ_SEARCH: root may inspect another user's file
_SYSTEM = (
    "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/share/zoneinfo", "/usr/share/locale",
    "/etc/ld.so.cache", "/etc/localtime", "/etc/timezone", "/dev/null", "/dev/zero", "/dev/random", "/dev/urandom",
    "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/sys/devices/system/cpu", "/sys/fs/cgroup",
)  # fmt: skip
_PYTHON_FILES = (".py", ".pyc", ".so", ".pth")


@dataclass(frozen=True)
class Sandbox:
    """`readable` are files and folders beside Python's own; `keep_open` descriptors beside 0, 1 and 2."""

    memory_bytes: int
    cpu_seconds: int | None
    readable: tuple[Path, ...] = ()
    keep_open: tuple[int, ...] = ()


def enter(sandbox: Sandbox) -> tuple[str, ...]:
    """Enter the sandbox irrevocably; returns the parts that are in force. Takes a few milliseconds.

    To be called before any thread is started: Landlock restricts only the calling thread.
    """
    readable = list(_readable(sandbox.readable))
    _close_all_but({0, 1, 2, *sandbox.keep_open})
    may_have_threads = _limit(sandbox.memory_bytes, sandbox.cpu_seconds)
    held = [LIMITS]
    if sys.platform == "linux":
        _give_up_privileges()
        is_single = len(list(Path("/proc/self/task").iterdir())) == 1
        if refuse_files(readable) and is_single:
            held.append(FILES)
        if refuse_system_calls(os.getpid(), may_have_threads=may_have_threads):
            held.append(SYSTEM_CALLS)
    return tuple(part for part in PARTS if part in held)


def _close_all_but(kept: Collection[int]) -> None:
    for number in [int(path.name) for path in Path("/dev/fd").iterdir()]:
        if number not in kept:
            with suppress(OSError):  # the descriptor of the listing itself is closed already
                os.close(number)


def _limit(memory_bytes: int, cpu_seconds: int | None) -> bool:
    """Set the limits. Whether threads may be started: only where the kernel limits their number, which it never does
    for root.
    """
    is_root = os.getuid() == 0
    limits = {
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_FSIZE: (MAX_FILE_BYTES, MAX_FILE_BYTES),
        resource.RLIMIT_NOFILE: (_MAX_OPEN_FILES, _MAX_OPEN_FILES),
    }
    if cpu_seconds is not None:
        # The soft limit sends SIGXCPU, which differs from running out of memory; the hard one sends SIGKILL.
        limits[resource.RLIMIT_CPU] = (cpu_seconds, cpu_seconds + 5)
    if sys.platform == "linux":  # macOS refuses a limit of the address space, and has none of threads
        limits[resource.RLIMIT_AS] = (memory_bytes, memory_bytes)
        if not is_root:
            threads = _threads_of(os.getuid()) + _MORE_THREADS
            limits[resource.RLIMIT_NPROC] = (threads, threads)
    for which, wanted in limits.items():
        _, allowed = resource.getrlimit(which)
        is_free = allowed == resource.RLIM_INFINITY  # a stricter limit that was set before stays
        resource.setrlimit(which, wanted if is_free else (min(wanted[0], allowed), min(wanted[1], allowed)))
    return not is_root


def _threads_of(user: int) -> int:
    """How many threads the user has, as far as this process can see."""
    count = 0
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            with suppress(OSError):  # it ended meanwhile
                threads = (process / "task").stat()
                count += threads.st_nlink - 2 if threads.st_uid == user else 0
    return count


def _give_up_privileges() -> None:
    """Give up root's privileges, make it impossible to gain any, and let the process end with its parent."""
    libc = ctypes.CDLL(None, use_errno=True)
    for option, value in ((_PARENT_DEATH_SIGNAL, signal.SIGKILL), (_NO_NEW_PRIVILEGES, 1)):
        libc.prctl(option, *map(ctypes.c_ulong, (value, 0, 0, 0)))
    kept = _READ_ALL_FILES if os.geteuid() == 0 else 0
    # effective, permitted and inheritable, each in two halves. A process with fewer is refused and gives up all.
    if libc.capset(struct.pack("Ii", _CAPABILITIES_VERSION, 0), struct.pack("6I", kept, kept, 0, 0, 0, 0)) != 0:
        libc.capset(struct.pack("Ii", _CAPABILITIES_VERSION, 0), bytes(24))


def _readable(submitted: Iterable[Path]) -> Iterator[tuple[Path, int]]:
    """What may be read or listed: Python, its libraries, a little of the system, and what was submitted."""
    prefixes = {Path(prefix) for prefix in (sys.prefix, sys.base_prefix, sys.exec_prefix)}
    libraries = {prefix / name for prefix in prefixes for name in ("lib", "lib64", "share/zoneinfo")}
    linked = {Path(folder) for folder in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) if folder}
    whole = {*libraries, *linked, *map(Path, _SYSTEM), *submitted}
    yield from ((path.resolve(), READ | LIST) for path in whole)
    for folder in {Path(entry).resolve() for entry in sys.path if entry}:
        if folder.is_dir() and not any(folder.is_relative_to(library.resolve()) for library in libraries):
            yield folder, LIST  # Python looks for modules by listing it
            yield from ((path, READ | LIST) for path in folder.iterdir() if _is_code(path))


def _is_code(path: Path) -> bool:
    """Whether it is code: a folder on Python's path may also hold a project's data, keys and database."""
    if path.name.startswith("."):
        return False
    if path.is_dir():
        is_package = any(path.glob("*.py")) or any(path.glob("__init__.*")) or any(path.glob("*.so"))
        return is_package or path.suffix in {".libs", ".dist-info", ".egg-info"}
    return path.suffix in _PYTHON_FILES
