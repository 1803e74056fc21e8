"""What a sandboxed process may read beside what was submitted: Python, its libraries, a little of the system. Pure."""

import os
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from registry.sandbox.landlock import LIST, READ

_SYSTEM = (
    "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/share/zoneinfo", "/usr/share/locale",
    "/etc/ld.so.cache", "/etc/localtime", "/etc/timezone", "/dev/null", "/dev/zero", "/dev/random", "/dev/urandom",
    "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/sys/devices/system/cpu", "/sys/fs/cgroup",
)  # fmt: skip
# Not `environ`, and not `net`, which lists the connections of the whole machine.
_OF_THE_PROCESS = ("cgroup", "cmdline", "limits", "maps", "mountinfo", "mounts", "smaps", "stat", "statm", "status")
_PYTHON_FILES = (".py", ".pyc", ".so", ".pth")

Rights = tuple[Path, int]


def readable_paths(submitted: Iterable[Path]) -> list[Rights]:
    """Paths with what may be done to them and what is below them. To be called in the process that reads them."""
    process = Path("/proc/self").resolve()
    own = [(process / name, READ) for name in _OF_THE_PROCESS]
    return [*python_and_system(), *own, *((path.resolve(), READ | LIST) for path in submitted)]


@cache
def python_and_system() -> tuple[Rights, ...]:
    """The part that is the same in all processes of this Python. The first call takes milliseconds, because
    it looks at each entry of the folders on `sys.path`; the others, and those in forked processes, take none.
    """
    whole = {path.resolve() for path in {*_libraries(), *_linked(), *map(Path, _SYSTEM)} if path.exists()}
    folders = {Path(entry).resolve() for entry in sys.path if entry}
    others = [folder for folder in folders if folder.is_dir() and not _is_below(folder, whole)]
    listed = [(folder, LIST) for folder in others]  # Python looks for modules by listing it
    code = {path.resolve() for folder in others for path in folder.iterdir() if _is_code(path)}
    whole |= code
    return (*((path, READ | LIST) for path in whole if not _is_below(path.parent, whole)), *listed)


def _libraries() -> Iterator[Path]:
    for prefix in {Path(prefix) for prefix in (sys.prefix, sys.base_prefix, sys.exec_prefix)}:
        yield from (prefix / name for name in ("lib", "lib64", "share/zoneinfo"))


def _linked() -> Iterator[Path]:
    yield from (Path(folder) for folder in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) if folder)


def _is_below(path: Path, folders: Iterable[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


def _is_code(path: Path) -> bool:
    """Whether it is code: a folder on Python's path may also hold a project's data, keys and database."""
    if path.name.startswith("."):
        return False
    if path.is_dir():
        is_package = any(path.glob("*.py")) or any(path.glob("__init__.*")) or any(path.glob("*.so"))
        return is_package or path.suffix in {".libs", ".dist-info", ".egg-info"}
    return path.suffix in _PYTHON_FILES
