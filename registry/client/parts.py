"""A file on its way to another server or its storage: parts, some at a time, each tried again, then the request."""

import itertools
import random
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from multiprocessing.pool import ThreadPool
from typing import IO, Any
from urllib.parse import urlsplit

from mlserve.errors import BadUpload, RemoteRefusal, Unavailable
from registry.client.resume_store import RememberedUploads
from registry.client.server import LONGEST_PAUSE_SECONDS, RemoteServer
from registry.client.uploads import OnBytes, RemoteUpload, Source, opened, submitted
from registry.inspection.version_request import VersionRequest

# More would not be faster on one line, and each holds a connection of the server.
_SENDERS = 4
# With the pauses between them, about a minute without a network.
_PART_ATTEMPTS = 8


def delivered(
    server: RemoteServer,
    source: Source,
    request: VersionRequest,
    remembered: RememberedUploads,
    sending: Callable[[RemoteUpload], AbstractContextManager[OnBytes]],
) -> RemoteUpload:
    """The upload once the server has all of it and was asked to publish it. An earlier run may have begun it.

    `sending` shows how it goes: it gets the upload, and gives the function that is called with each number of bytes.
    Raises RemoteRefusal, Unavailable, or BadUpload for a changed file.
    """
    upload = opened(server, source, remembered)
    try:
        with sending(upload) as on_bytes:
            if upload.missing_bytes:
                send_parts(server, upload, source, on_bytes)
            return submitted(server, upload, request, source)
    except RemoteRefusal as error:
        if upload.status == "open" or error.answered != 409:
            raise
        # An earlier run asked for something else than this one does, and that is under way.
        remembered.forget(server.url, source.sha256)
        if remembered.recall(server.url, source.sha256):
            raise
    return delivered(server, source, request, remembered, sending)


def send_parts(server: RemoteServer, upload: RemoteUpload, source: Source, on_bytes: OnBytes) -> None:
    """Send what is missing, some parts at a time. Raises RemoteRefusal, Unavailable, or BadUpload for a changed file.

    `on_bytes` is called from several threads, with a negative number for a part that must be sent again.
    """
    sender = _Sender(server, upload, source, on_bytes, threading.Event())
    # Its threads are daemons: what ends the block, Ctrl-C too, does not wait for a slow network.
    with ThreadPool(min(_SENDERS, len(upload.missing))) as pool:
        try:
            for _ in pool.imap_unordered(sender.send, upload.missing):
                pass
        finally:
            sender.stopped.set()


def pause_before(attempt: int) -> float:
    """Seconds before the next attempt: doubled each time, up to 15, a random half of it, so that many do not meet."""
    longest = min(LONGEST_PAUSE_SECONDS, 0.25 * 2.0**attempt)
    return longest * (1 + random.random()) / 2  # noqa: S311 - not a secret


@dataclass(frozen=True)
class _Sender:
    server: RemoteServer
    upload: RemoteUpload
    source: Source
    on_bytes: OnBytes
    stopped: threading.Event

    def send(self, number: int) -> None:
        """Try it some times, each at a new address: the one before may have expired."""
        for attempt in itertools.count(1):
            try:
                self._send_once(number)
            except Unavailable as error:
                if attempt == _PART_ATTEMPTS or self.stopped.is_set():
                    raise
                asked_for = min(error.retry_after_seconds or 0, LONGEST_PAUSE_SECONDS)
                self.stopped.wait(max(pause_before(attempt), asked_for))
            else:
                return

    def _send_once(self, number: int) -> None:
        size_bytes, address = self.upload.bytes_of(number), self._address_of(number)
        with self.source.path.open("rb") as file:
            file.seek((number - 1) * self.upload.part_bytes)
            piece: Any = _Piece(file, size_bytes, self.on_bytes, self.stopped)
            try:
                self.server.put(address, piece, size_bytes=size_bytes)
            except BaseException:
                self.on_bytes(-piece.sent)
                raise

    def _address_of(self, number: int) -> str:
        upload_id = self.upload.upload_id
        answer = self.server.post("uploads", upload_id, "parts", body={"numbers": [number]})
        try:
            url = next(str(part["url"]) for part in answer["parts"] if part["number"] == number)
        except (KeyError, TypeError, StopIteration) as error:
            raise RemoteRefusal(f"{self.server.url} gave addresses in a way that this client does not know.") from error
        # A server behind a proxy may not know its own name; the one that was asked is right.
        path = f"/api/uploads/{upload_id}/parts/{number}"
        return self.server.url + path if urlsplit(url).path.endswith(path) else url


class _Piece:
    """A part of an open file as a body, which tells how much of it was sent."""

    def __init__(self, file: IO[bytes], size_bytes: int, on_bytes: OnBytes, stopped: threading.Event) -> None:
        self.sent = 0
        self._file, self._left, self._on_bytes, self._stopped = file, size_bytes, on_bytes, stopped

    def read(self, most: int = -1) -> bytes:
        if self._stopped.is_set():
            raise Unavailable("The upload was interrupted.")
        wanted = self._left if most < 0 else min(most, self._left)
        chunk = self._file.read(wanted)
        if len(chunk) < wanted:
            raise BadUpload(f"{self._file.name} became shorter while it was sent. Upload it again once it is complete.")
        self._left -= len(chunk)
        self.sent += len(chunk)
        self._on_bytes(len(chunk))
        return chunk
