"""Start the model host: as a part of `serve`, or for one process of its own (commands, tests, functions on Lambda)."""

import atexit
import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from mlserve.processes.temporary_folders import temporary_folder
from registry.sandbox.environment import clean_environment

# In a folder of its own: the path of a socket may have a hundred bytes.
SOCKET = "host"
_WAITING_CLIENTS = 128
# Of the systems' limits the smallest, which macOS has.
_LONGEST_PATH = 103


class PathTooLong(Exception):
    """The temporary folder's; the message says what to do."""


@dataclass(frozen=True)
class Options:
    """`code` is the folder of this project, `cache_bytes` what all model processes may have together."""

    code: Path
    cache_bytes: int


def require_short_path(address: Path) -> None:
    """Raise PathTooLong."""
    if len(os.fsencode(address)) > _LONGEST_PATH:
        raise PathTooLong(
            f"{address} is too long for the path of a socket, which has at most {_LONGEST_PATH} bytes. Set TMPDIR to a "
            "folder with a shorter name."
        )


def listen_at(address: Path) -> socket.socket:
    """The socket that clients connect to. It outlives a host that ends, so that clients only wait for the next one."""
    require_short_path(address)
    address.parent.mkdir(mode=0o700, exist_ok=True)
    address.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(address))
    listener.listen(_WAITING_CLIENTS)
    return listener


def start_host(listener: socket.socket, options: Options) -> "subprocess.Popen[bytes]":
    """Execute it: a new process that inherits the listener, and of this one's state nothing. It ends with this one."""
    command = [
        sys.executable, "-P", "-m", "predictions.model_host.main",
        str(listener.fileno()), str(options.cache_bytes), str(os.cpu_count() or 1),
    ]  # fmt: skip
    return subprocess.Popen(
        command,
        cwd="/",
        env=clean_environment(options.code),
        stdin=subprocess.PIPE,
        pass_fds=(listener.fileno(),),
        start_new_session=True,
    )


def end_host(host: "subprocess.Popen[bytes]") -> None:
    """At once, with all model processes."""
    host.kill()
    host.communicate()


class OwnHost:
    """A host for this process and its children; it ends with this process."""

    def __init__(self, options: Options) -> None:
        self._folder = ExitStack()
        self.address = self._folder.enter_context(temporary_folder("models")) / SOCKET
        with listen_at(self.address) as listener:
            self._process = start_host(listener, options)
        self._pid = os.getpid()
        atexit.register(self.stop)

    @property
    def is_running(self) -> bool:
        """A forked process can only believe it."""
        return os.getpid() != self._pid or self._process.poll() is None

    def stop(self) -> None:
        if os.getpid() == self._pid:
            end_host(self._process)
            self._folder.close()
