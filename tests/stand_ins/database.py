"""PostgreSQL at a TCP address, which the database of the tests has none of, and which can be made to vanish."""

import contextlib
import socket
import threading
from typing import Any
from urllib.parse import unquote, urlsplit


class DatabaseFront:
    """Passes connections on to the server of `url`, whose host is the folder of a socket."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._user, self._target = parts.username, f"{unquote(parts.netloc.rpartition('@')[2])}/.s.PGSQL.5432"
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._is_gone = False
        threading.Thread(target=self._accept, name="database front", daemon=True).start()

    def url(self, name: str) -> str:
        host, port = self._listener.getsockname()
        return f"postgres://{self._user}@{host}:{port}/{name}"

    def vanish(self) -> None:
        """Connections break, and new ones are closed at once."""
        self._is_gone = True
        self._cut()

    def return_(self) -> None:
        self._is_gone = False

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # ends the accept of the other thread
        self._listener.close()
        self._cut()

    def _cut(self) -> None:
        with self._lock:
            found, self._open = self._open, set()
        for each in found:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server, contextlib.suppress(OSError):
            if self._is_gone:
                return
            server.connect(self._target)
            with self._lock:
                self._open |= {client, server}
            back = threading.Thread(target=_copy, args=[server, client], daemon=True)
            back.start()
            _copy(client, server)
            back.join()
            with self._lock:
                self._open -= {client, server}


def _copy(source: Any, target: Any) -> None:
    """Until either ends; then both have."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for each in (source, target):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
