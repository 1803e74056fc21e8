"""Start the model host: as a part of `serve`, or for one process of its own (commands, tests, functions on Lambda)."""

import atexit
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from registry.sandbox.environment import clean_environment

_SOCKET = "host"
_WAITING_CLIENTS = 128


@dataclass(frozen=True)
class Options:
    """`code` is the folder of this project, `cache_bytes` what all model processes may have together."""

    code: Path
    cache_bytes: int


def new_address() -> Path:
    """A path for a host's socket, in a folder of this user's alone that nothing else is in."""
    return Path(tempfile.mkdtemp(prefix="mlserve-models-")) / _SOCKET


def listen_at(address: Path) -> socket.socket:
    """The socket that clients connect to. It outlives a host that ends, so that clients only wait for the next one."""
    address.parent.mkdir(mode=0o700, exist_ok=True)
    address.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(address))
    listener.listen(_WAITING_CLIENTS)
    return listener


def remove(address: Path) -> None:
    """The socket and its folder."""
    shutil.rmtree(address.parent, ignore_errors=True)


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
        self.address = new_address()
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
            remove(self.address)
