"""Record the version that this process calls or loads in a file that outlives the process.

A model may end its process, and no other trace would then tell which model it was. Each process that predicts has a
small file, mapped into its memory, so that an entry costs a microsecond. The process holds a lock on the file while it
lives; a process that gets the lock reads the entry of one that has ended.
"""

import faulthandler
import fcntl
import json
import logging
import mmap
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import IO

log = logging.getLogger(__name__)

CALL, LOAD = "call", "load"
# The versions being called and loaded (0: none), and how often the system had run out of memory when last asked.
_NOTES = struct.Struct("<qqq")
_PLACES = MappingProxyType({CALL: 0, LOAD: 8})
_ID = struct.Struct("<q")
_HEADER_AT, _DUMP_AT = 64, 1024
_LONGEST_DUMP = 20_000


@dataclass(frozen=True)
class LeftBehind:
    """What a process that is gone was at. `dump` is what faulthandler wrote: a reason and frames, no values."""

    pid: int
    process: str
    version_id: int
    what: str
    dump: str
    ran_out_of_memory: bool


class _Marker:
    """Of this process, once it has begun to write one."""

    def __init__(self, file: IO[bytes], notes: mmap.mmap) -> None:
        self.file, self.notes, self.pid = file, notes, os.getpid()

    def note(self, what: str, version_id: int) -> None:
        if self.pid == os.getpid():
            _ID.pack_into(self.notes, _PLACES[what], version_id)


_marker: _Marker | None = None
_interrupted: int | None = None
# What this process calls and loads, in any thread.
_now: dict[str, int] = {}


def begin(folder: Path, process: str) -> None:
    """Keep a note of this process, named `process`, in `folder` from now on. What cannot be written is done without."""
    global _marker  # noqa: PLW0603 - one per process
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{os.getpid()}.call"
        path.unlink(missing_ok=True)  # of a process that had the same number
        file = path.open("w+b", buffering=0)
        fcntl.flock(file, fcntl.LOCK_EX)
        header = json.dumps({"process": process}).encode()
        file.write(bytes(_HEADER_AT) + header.ljust(_DUMP_AT - _HEADER_AT))
        _marker = _Marker(file, mmap.mmap(file.fileno(), _DUMP_AT))
        renew()
        faulthandler.enable(file)
    except OSError as error:
        log.warning("If a model ends this process, it will not be known which one: %s", error)


def renew() -> None:
    """Ask again how often the system has run out of memory, so that only what comes after counts."""
    if _marker is not None:
        _ID.pack_into(_marker.notes, 16, _times_out_of_memory())


def forget() -> None:
    """Leave nothing behind: what this process is at is known already."""
    if _marker is not None:
        for what in _PLACES:
            _marker.note(what, 0)


def end_if_frozen(seconds: float) -> None:
    """End this process when it does not call this again within `seconds`; the stacks of its threads are kept.

    A library that never gives the interpreter back stops all threads, so none of them could do it.
    """
    if _marker is not None:
        faulthandler.dump_traceback_later(seconds, exit=True, file=_marker.file)


@contextmanager
def noted(what: str, version_id: int) -> Iterator[None]:
    """Around a call or a load of a version. One of each at a time."""
    global _interrupted  # noqa: PLW0603
    marker = _marker
    if marker is not None:
        marker.note(what, version_id)
    _now[what] = version_id
    try:
        yield
    except Exception:
        raise
    except BaseException:
        _interrupted = version_id
        raise
    finally:
        _now.pop(what, None)
        if marker is not None:
            marker.note(what, 0)


def is_loading(version_id: int) -> bool:
    """Whether any thread of this process is loading the version."""
    return _now.get(LOAD) == version_id


def take_interrupted() -> int | None:
    """The version whose call or load was left by something that is no error, such as a time limit; then forgotten."""
    global _interrupted
    version_id, _interrupted = _interrupted, None
    return version_id


def left_behind(folder: Path) -> list[LeftBehind]:
    """The entries of processes that have ended. Each is returned once, to the process that asks first."""
    try:
        paths = sorted(path for path in folder.glob("*.call") if path.stem.isdigit())
    except OSError:
        return []
    return [note for path in paths for note in _taken(path)]


def _taken(path: Path) -> list[LeftBehind]:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file.fileno()).st_nlink == 0:
                return []  # another process was faster
            content = file.read(_DUMP_AT + _LONGEST_DUMP)
            if len(content) >= _DUMP_AT:
                path.unlink()
                return _read(content, int(path.stem))
    except (BlockingIOError, FileNotFoundError):
        pass  # it lives, or another process was faster
    except OSError as error:
        log.warning("%s cannot be read: %s", path, error)
    return []


def _read(content: bytes, pid: int) -> list[LeftBehind]:
    called, loaded, times_before = _NOTES.unpack_from(content)
    process = json.loads(content[_HEADER_AT:_DUMP_AT])["process"]
    dump = content[_DUMP_AT:].decode("utf-8", errors="replace").strip()
    memory = _times_out_of_memory() > times_before
    notes = ((CALL, called), (LOAD, loaded))
    return [LeftBehind(pid, process, version_id, what, dump, memory) for what, version_id in notes if version_id]


def _times_out_of_memory() -> int:
    """How often the kernel has ended a process for want of memory: in this container, else on this machine."""
    for path in ("/sys/fs/cgroup/memory.events", "/proc/vmstat"):
        try:
            lines = Path(path).read_text("ascii").splitlines()
        except (OSError, UnicodeDecodeError):
            continue
        for line in lines:
            name, _, count = line.partition(" ")
            if name == "oom_kill" and count.isdigit():
                return int(count)
    return 0
