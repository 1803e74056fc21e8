"""What a service has around a model's process, and what can be seen of the tries in `ways_out` from outside of it."""

import ctypes
import os
import resource
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.registry.sandbox.targets import MARK, Targets

_KEY = 0x600D
_PLACES = ("/tmp", "/dev/shm", "/dev/mqueue", ".")


class OutsideWorld:
    """This process as the service, with a secret in each place, for one way out."""

    def __init__(self) -> None:
        self._token = secrets.token_hex(16)
        self._folder = Path(tempfile.mkdtemp(prefix="outside-"))
        self._fill_folder()
        self._memory = ctypes.create_string_buffer(self._token.encode(), 64)
        self.connection = sqlite3.connect(self._folder / "data.sqlite3")
        self._opened = [os.open(self._folder, os.O_RDONLY), os.open(self._folder / ".env", os.O_RDWR)]
        self._tcp = socket.create_server(("127.0.0.1", 0))
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", 0))
        self._path, self._abstract = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
        self._path.bind(str(self._folder / "socket"))
        self._abstract.bind(f"\0{self._token[:8]}")
        for each in (self._tcp, self._udp, self._path, self._abstract):
            each.setblocking(False)
        self._path.listen()
        self._abstract.listen()
        self._stranger = subprocess.Popen(["/bin/sleep", "600"], env={"SECRET_KEY": self._token})
        self._signals: list[int] = []
        signal.signal(signal.SIGURG, lambda number, _: self._signals.append(number))
        self.targets = Targets(
            str(self._folder), os.getpid(), ctypes.addressof(self._memory), os.getpgid(0), self._stranger.pid,
            self._tcp.getsockname()[1], self._udp.getsockname()[1], str(self._folder / "socket"), self._token[:8],
        )  # fmt: skip
        self._before = self._looks()

    def _fill_folder(self) -> None:
        (self._folder / "project").mkdir()
        (self._folder / ".ssh").mkdir()
        for name in (".env", "project/.env", ".ssh/id_ed25519"):
            (self._folder / name).write_text(f"SECRET_KEY={self._token}")
        (self._folder / "project" / "imported.py").write_text("NAME = 'imported'")
        with sqlite3.connect(self._folder / "data.sqlite3") as database:
            database.execute("CREATE TABLE rows (secret)")
            database.execute("INSERT INTO rows VALUES (?)", [self._token])

    def descriptors(self) -> list[int]:
        """What a process that is forked carelessly would inherit."""
        return [*self._opened, self._tcp.fileno(), self._udp.fileno(), self._path.fileno()]

    def effects(self, got: str, session: int) -> list[str]:
        """What is to be seen of code that says that it `got` something, and ran in that session."""
        after = self._looks()
        changed = [name for name, before in self._before.items() if after.get(name) != before]
        left = [f"left {path}" for path in self._left_behind()]
        return [
            *changed, *left, *self._arrived(), *(["a process that goes on"] if _ends_session(session) else []),
            *(["a signal"] if self._signals else []), *([f"got {got[:100]}"] if got else []),
            *(["the secret"] if self._token in got else []),
        ]  # fmt: skip

    def _looks(self) -> dict[str, Any]:
        files = {str(path): _state(path) for path in [self._folder, *self._folder.rglob("*")]}
        state = {"files": files, "memory": self._memory.raw, "kernel": _objects_by_key()}
        stranger = self._stranger.pid
        if self._stranger.poll() is not None:
            return state
        of_stranger = (
            Path(f"/proc/{stranger}/stat").read_text().split()[2] in "tT", os.getpriority(os.PRIO_PROCESS, stranger),
            os.sched_getaffinity(stranger), os.sched_getscheduler(stranger),
            resource.prlimit(stranger, resource.RLIMIT_NOFILE),
        )  # fmt: skip
        return {**state, "stranger": of_stranger}

    def _left_behind(self) -> list[str]:
        found = [path for place in _PLACES for path in Path(place).glob(f"{MARK}*")]
        found += [path for path in Path().glob("core*") if path.is_file()]
        for path in found:
            path.unlink()
        return [str(path) for path in found]

    def _arrived(self) -> list[str]:
        waits: dict[str, Callable[[], Any]] = {
            "a connection": self._tcp.accept, "a datagram": lambda: self._udp.recv(9),
            "a connection by path": self._path.accept, "a connection by name": self._abstract.accept,
        }  # fmt: skip
        arrived = []
        for name, take in waits.items():
            with suppress(BlockingIOError):
                take()
                arrived.append(name)
        return arrived

    def close(self) -> None:
        self._stranger.kill()
        self._stranger.wait()
        self.connection.close()
        for each in (self._tcp, self._udp, self._path, self._abstract):
            each.close()
        for number in self._opened:
            os.close(number)
        _delete_objects()
        shutil.rmtree(self._folder)


def _state(path: Path) -> tuple[Any, ...]:
    found = path.lstat()
    content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
    return found.st_mode, found.st_nlink, found.st_mtime_ns, content, os.listxattr(path, follow_symlinks=False)


def _objects_by_key() -> list[str]:
    """System V's shared memory, semaphores and queues with the key that the ways use."""
    paths = [Path("/proc/sysvipc", name) for name in ("shm", "sem", "msg")]
    lines = [line for path in paths if path.exists() for line in path.read_text().splitlines()]
    return [line for line in lines if line.split()[0] == str(_KEY)]


def _delete_objects() -> None:
    libc = ctypes.CDLL(None)
    libc.shmctl(libc.shmget(_KEY, 0, 0), 0, None)
    libc.semctl(libc.semget(_KEY, 0, 0), 0, 0)
    libc.msgctl(libc.msgget(_KEY, 0), 0, None)


def _ends_session(session: int) -> bool:
    """End what goes on in a session; whether anything did."""
    found = False
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            words = path.read_text().rpartition(")")[2].split()
            if int(words[3]) == session and words[0] != "Z":
                os.kill(int(path.parent.name), signal.SIGKILL)
                found = True
    return found
