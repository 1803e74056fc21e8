"""A local socket between processes of one host: a datagram ends a worker's wait at once.

At most one process listens. The sender learns whether one does, and where none can be reached (another host, another
user, no such sockets) it sends a task instead.
"""

import contextlib
import fcntl
import hashlib
import os
import socket
import tempfile
from pathlib import Path

from django.conf import settings

_WAKE_UP, _DISMISSAL = b"ring", b"dismissal"


class LocalWakeUpSocket:
    """`send` never waits and never fails; `wait` returns at the first datagram or after the timeout."""

    def __init__(self, name: str) -> None:
        # The path of such a socket may have about 100 bytes, which a folder of a project easily exceeds.
        database = settings.DATABASES["default"]
        place = f"{database.get('HOST')}:{database['NAME']}:{os.getuid()}:{name}"
        digest = hashlib.sha256(place.encode()).hexdigest()[:16]
        self._path = Path(tempfile.gettempdir()) / f"mlserve-{digest}.wake-up"
        self._listening: socket.socket | None = None
        self._lock: int | None = None
        self._pid = 0

    def send(self) -> bool:
        """Whether some process listens. It will look for work after this moment."""
        return self._send(_WAKE_UP)

    def has_listener(self) -> bool:
        """Whether some process listens now, without a datagram."""
        try:
            if not self._is_ours():
                return False
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.connect(str(self._path))
        except OSError:
            return False
        return True

    def dismiss(self) -> None:
        """End the wait of the process that listens, if one does."""
        self._send(_DISMISSAL)

    def _send(self, message: bytes) -> bool:
        try:
            if not self._is_ours():
                return False
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                sender.sendto(message, str(self._path))
        except BlockingIOError:
            return True  # so many datagrams wait to be read that one more makes no difference
        except OSError:
            return False
        return True

    def _is_ours(self) -> bool:
        """Every user of the machine may write into the folder of temporary files."""
        return self._path.stat().st_uid == os.getuid()

    def listen(self) -> bool:
        """Become the process that listens; False when another one is. From now on no datagram is lost."""
        if self._listening is not None and self._pid == os.getpid():
            return True
        self._forget_parents()
        try:
            self._lock = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._path.unlink(missing_ok=True)
            self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._listening.bind(str(self._path))
        except OSError:
            self.close()
            return False
        return True

    def wait(self, timeout_seconds: float) -> bool:
        """Whether a datagram came, now or since the last wait; many are one. Needs `listen` to have succeeded.

        False when the time ran out, or when the listener was dismissed.
        """
        if self._listening is None:
            raise RuntimeError("wait() needs listen() to have succeeded")
        try:
            self._listening.settimeout(timeout_seconds)
            is_dismissed = self._listening.recv(16) == _DISMISSAL
            self._listening.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    is_dismissed |= self._listening.recv(16) == _DISMISSAL
        except TimeoutError:
            return False
        return not is_dismissed

    def close(self) -> None:
        """Stop listening, if this process did. The last `wait` tells of datagrams that came before."""
        if self._pid != os.getpid():
            self._forget_parents()
            return
        if self._listening is not None:
            self._path.unlink(missing_ok=True)
            self._listening.close()
        if self._lock is not None:
            os.close(self._lock)
        self._listening = self._lock = None

    def __del__(self) -> None:
        self.close()

    def _forget_parents(self) -> None:
        """A forked copy of the parent's lock would keep the socket taken after the parent's end."""
        if self._pid != os.getpid():
            if self._listening is not None:
                self._listening.close()
            if self._lock is not None:
                os.close(self._lock)
            self._listening, self._lock, self._pid = None, None, os.getpid()
