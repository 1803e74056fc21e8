"""A tiny HTTP server that answers as it is told, in pieces if need be."""

import socket
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

# From the bytes of a request to the pieces that are sent, each in a packet of its own; an empty one ends the
# connection.
Script = Callable[[bytes], Sequence[bytes]]


def answer(body: bytes, *, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


class ScriptedServer:
    """Serves each connection in a thread of its own until the block ends."""

    def __init__(self, script: Script) -> None:
        self.connections = 0
        self.requests: list[bytes] = []
        self.has_closed = threading.Event()
        self._script = script
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        self._begin(self._accept)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        # A shutdown ends the calls of the threads that accept or receive; closing alone would not.
        for each in [self._listener, *self._open]:
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the other side was faster
        for thread in self._threads:
            thread.join(10)
        for each in [self._listener, *self._open]:
            each.close()

    def _begin(self, target: Callable[[], None]) -> None:
        self._threads.append(threading.Thread(target=target, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            self._open.append(connection)
            self._begin(lambda connection=connection: self._serve(connection))  # type: ignore[misc]

    def _serve(self, connection: socket.socket) -> None:
        try:
            while request := _receive(connection):
                self.requests.append(request)
                for piece in self._script(request):
                    if not piece:
                        connection.shutdown(socket.SHUT_RDWR)
                        self.has_closed.set()
                        return
                    connection.sendall(piece)
                    time.sleep(0.001)  # so that the next piece arrives separately
        except OSError:
            return  # the client left


def _receive(connection: socket.socket) -> bytes:
    """A whole request; empty when the client has closed."""
    received = b""
    while True:
        piece = connection.recv(65536)
        if not piece:
            return b""
        received += piece
        head, end, body = received.partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        if end and len(body) >= length:
            return received
