"""A real redis-server on a port of its own, which a test may stop and start again."""

import socket
import subprocess
from pathlib import Path

from tests.requirements import require_program
from tests.waiting import wait_until

_PATIENCE_SECONDS = 10


class RedisServer:
    """Keeps nothing on disk: what it held is gone once it is stopped."""

    def __init__(self, folder: Path, *, password: str = "") -> None:
        """Ends the calling test where there is no redis-server."""
        how_to_get = "apt-get install redis-server, brew install redis"
        self._program = require_program("redis-server", how_to_get, also_called=("valkey-server",))
        self._folder, self._password = folder, password
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self._port: int = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        secret = f":{self._password}@" if self._password else ""
        return f"redis://{secret}127.0.0.1:{self._port}/0"

    def start(self) -> "RedisServer":
        options = {"port": str(self._port), "bind": "127.0.0.1", "dir": str(self._folder), "save": ""}
        if self._password:
            options["requirepass"] = self._password
        command = [self._program, *(part for name, value in options.items() for part in (f"--{name}", value))]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_until(self._answers, "redis-server to start", seconds=_PATIENCE_SECONDS)
        return self

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(_PATIENCE_SECONDS)
            self._process = None

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16)[:1] in (b"+", b"-")  # without the password it says so
        except OSError:
            return False
