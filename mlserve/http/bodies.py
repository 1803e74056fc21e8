"""The body of a request on its way in: slow senders hold few threads, and an unread body is read before a refusal.

granian's threads wait for a body, and nothing interrupts that. When the answer is out and much of a body is unread,
granian closes the connection, of which the sender, or a proxy in front, often sees only that it broke. An application
cannot announce it, for the header Connection is the server's (PEP 3333); so it reads what comes soon. It does so before
the answer: granian (2.8) stops serving all connections of its process while a thread still reads the body of a request
that was answered.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from mlserve.errors import TooManyRequests
from mlserve.http.addresses import address_of

_PIECE_BYTES = 2**16
# What a proxy has collected comes at once; a body that comes over a slow line is not worth a thread's time.
MOST_DROPPED_BYTES = 2**26
MOST_DROPPING_SECONDS = 2.0


class Readers:
    """How many threads read a body of the same client. A client may have a quarter of a process's, at least four."""

    def __init__(self, threads: int) -> None:
        self._most = max(4, threads // 4)
        self._reading: Counter[str] = Counter()
        self._lock = threading.Lock()

    def begin(self, address: str) -> None:
        """Raises TooManyRequests."""
        with self._lock:
            if self._reading[address] >= self._most:
                raise TooManyRequests(
                    f"{self._most} requests of this address are being sent, too slowly. Send some of them to their end "
                    "first, or fewer at a time.",
                    retry_after_seconds=5,
                )
            self._reading[address] += 1

    def end(self, address: str) -> None:
        with self._lock:
            self._reading[address] -= 1
            if not self._reading[address]:
                del self._reading[address]


class Body:
    """`wsgi.input` of a request that has a body."""

    def __init__(self, environ: Mapping[str, Any], readers: Readers) -> None:
        self._stream, self._readers, self._address = environ["wsgi.input"], readers, address_of(environ)
        length = environ.get("CONTENT_LENGTH") or ""
        # The sender waits for leave to send its body: a refusal is what it waits for.
        self._is_refused = "HTTP_EXPECT" in environ
        # Of one in chunks the length is unknown.
        self._left = int(length) if length.isdigit() and length.isascii() else MOST_DROPPED_BYTES

    def read(self, size: int = -1) -> bytes:
        """Raises TooManyRequests when this process reads too many bodies of the client already."""
        if self._left <= 0:
            return b""
        try:
            self._readers.begin(self._address)
        except TooManyRequests:
            self._is_refused = True
            raise
        # Reading gives the leave that the sender may have waited for.
        self._is_refused = False
        try:
            content: bytes = self._stream.read(size)
        finally:
            self._readers.end(self._address)
        self._left = self._left - len(content) if content or size == 0 else 0
        return content

    def readline(self, size: int = -1) -> bytes:
        line: bytes = self._stream.readline() if size < 0 else self._stream.readline(size)
        self._left -= len(line)
        return line

    def readlines(self, hint: int = -1) -> list[bytes]:
        return list(self)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def drop(self) -> None:
        """Read what is unread, if it comes soon and is not too much, and if few bodies of the client are being read.

        A sender that stops in the middle of its body gets no answer before it goes on.
        """
        deadline = time.monotonic() + MOST_DROPPING_SECONDS
        while 0 < self._left <= MOST_DROPPED_BYTES and not self._is_refused and time.monotonic() < deadline:
            try:
                self.read(min(_PIECE_BYTES, self._left))
            except TooManyRequests:
                return


def has_body(environ: Mapping[str, Any]) -> bool:
    return environ.get("CONTENT_LENGTH") not in (None, "", "0") or "HTTP_TRANSFER_ENCODING" in environ
