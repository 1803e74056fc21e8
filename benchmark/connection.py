"""One keep-alive connection: requests as bytes, answers read just enough.

Of an answer it reads the status, the length and the body; an answer without Content-Length is refused.
"""

import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass

_HEAD_END = b"\r\n\r\n"
_RECEIVE_BYTES = 256 * 1024


class BadAnswer(Exception):
    """There was no answer, or not one of an HTTP/1.1 server that keeps its connection."""


@dataclass(frozen=True, slots=True)
class Request:
    """`subject` is the caller's name for the request; the answer contains it."""

    payload: bytes
    subject: int = 0


def build(method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
    """The bytes of a request; a body is JSON."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode("ascii") + _HEAD_END + body


class Connection:
    """One keep-alive connection with at most one open request."""

    __slots__ = ("_body_from", "_body_to", "_buffer", "_unsent", "request", "sent_ns", "socket", "status")

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.request = Request(b"")
        self.sent_ns = 0
        self.status = 0
        self._unsent = memoryview(b"")
        self._buffer = bytearray()
        self._body_from = self._body_to = 0

    def send(self, request: Request) -> bool:
        """Whether all of it went out; otherwise `send_rest` must be called when the socket is writable."""
        self.request = request
        self._buffer.clear()
        self._body_to = 0
        self._unsent = memoryview(request.payload)
        self.sent_ns = time.perf_counter_ns()
        return self.send_rest()

    def send_rest(self) -> bool:
        while self._unsent:
            try:
                count = self.socket.send(self._unsent)
            except BlockingIOError:
                return False
            except OSError as error:
                raise BadAnswer(f"The server closed the connection while it was sent a request: {error}.") from error
            self._unsent = self._unsent[count:]
        return True

    def receive(self) -> bytes | None:
        """The body once all of it is there. Raises BadAnswer."""
        try:
            received = self.socket.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return None
        except OSError as error:
            raise BadAnswer(f"The server broke the connection: {error}.") from error
        if not received:
            raise BadAnswer(f"The server closed the connection after {len(self._buffer)} bytes of an answer.")
        self._buffer += received
        if not self._body_to and not self._read_head():
            return None
        return bytes(self._buffer[self._body_from : self._body_to]) if len(self._buffer) >= self._body_to else None

    def _read_head(self) -> bool:
        end = self._buffer.find(_HEAD_END)
        if end < 0:
            return False
        head = bytes(self._buffer[:end]).lower()
        start = head.find(b"\r\ncontent-length:")
        if start < 0 or not head.startswith(b"http/1.1 "):
            raise BadAnswer(f"Not an HTTP/1.1 answer with a Content-Length: {head[:200]!r}")
        self.status = int(head[9:12])
        self._body_from = end + len(_HEAD_END)
        self._body_to = self._body_from + int(head[start + 17 :].partition(b"\r\n")[0])
        return True
