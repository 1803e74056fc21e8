"""A bell between processes of one host: a datagram on a local socket ends the wait for work at once.

Only latency hangs on it. Where the bell cannot be heard (another host, another user, no such sockets) the broker
still looks at its table every `poll` seconds.
"""

import contextlib
import hashlib
import os
import socket
import tempfile
from pathlib import Path

from django.conf import settings


class Doorbell:
    """`ring` never waits and never fails; `wait` returns at the first ring or after the timeout."""

    def __init__(self, name: str) -> None:
        # The path of such a socket may have about 100 bytes, which a folder of a project easily exceeds.
        database = settings.DATABASES["default"]
        place = f"{database.get('HOST')}:{database['NAME']}:{os.getuid()}:{name}"
        digest = hashlib.sha256(place.encode()).hexdigest()[:16]
        self._path = Path(tempfile.gettempdir()) / f"mlserve-{digest}.bell"
        self._listening: socket.socket | None = None
        self._listening_pid = 0

    def ring(self) -> None:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto(b"!", str(self._path))

    def wait(self, timeout_seconds: float) -> None:
        listening = self._listen()
        with contextlib.suppress(OSError):
            listening.settimeout(timeout_seconds)
            listening.recv(16)
            listening.setblocking(False)
            while True:  # many rings are one
                listening.recv(16)

    def close(self) -> None:
        """Stop listening, if this process did."""
        if self._listening is not None:
            self._listening.close()
            if self._listening_pid == os.getpid():
                self._path.unlink(missing_ok=True)
            self._listening = None

    def __del__(self) -> None:
        self.close()

    def _listen(self) -> socket.socket:
        """The socket of this process; the last one to listen gets the rings."""
        if self._listening is None or self._listening_pid != os.getpid():
            self.close()
            self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._listening_pid = os.getpid()
            self._path.unlink(missing_ok=True)
            self._listening.bind(str(self._path))
            self._path.chmod(0o600)
        return self._listening
