"""The parts of a file on their way to another server or its storage: some at a time, each tried again."""

import itertools
import queue
import threading
import time
from typing import IO, Any
from urllib.parse import urlsplit

from mlserve.errors import BadUpload, MlserveError, RemoteRefusal, Unavailable
from registry.client.server import RemoteServer, pause_before
from registry.client.uploads import OnBytes, RemoteUpload, Source

# More would not be faster on one line, and each holds a connection of the server.
_SENDERS = 4
# With the pauses between them, about a minute of a network that is away.
_PART_ATTEMPTS = 8
# Asked for at once; an address is good for an hour, and a slow line shall not outlive it.
_ADDRESSES_AT_ONCE = 20


def send_parts(server: RemoteServer, upload: RemoteUpload, source: Source, on_bytes: OnBytes) -> None:
    """Send what is missing, some parts at a time. Raises RemoteRefusal, Unavailable, or BadUpload for a changed file.

    `on_bytes` is called from several threads, with a negative number for a part that must be sent again.
    """
    missing = upload.missing
    senders = _Senders(server, upload, source, on_bytes)
    try:
        senders.start(min(_SENDERS, len(missing)))
        for _ in missing:
            outcome = senders.outcomes.get()
            if outcome is not None:
                raise outcome
    finally:
        senders.stopped.set()


class _Senders:
    """Threads that each send one part after another. They are daemons: Ctrl-C need not wait for a slow network."""

    def __init__(self, server: RemoteServer, upload: RemoteUpload, source: Source, on_bytes: OnBytes) -> None:
        self.outcomes: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self.stopped = threading.Event()
        self._server, self._upload, self._source, self._on_bytes = server, upload, source, on_bytes
        self._numbers: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in upload.missing:
            self._numbers.put(number)
        self._addresses = _Addresses(server, upload)

    def start(self, count: int) -> None:
        for _ in range(count):
            threading.Thread(target=self._run, name="mlserve-part", daemon=True).start()

    def _run(self) -> None:
        while not self.stopped.is_set():
            try:
                number = self._numbers.get_nowait()
            except queue.Empty:
                return
            try:
                self._send(number)
            except Exception as error:  # noqa: BLE001 - whatever ends a thread is raised where its result is awaited
                self.outcomes.put(error)
                return
            self.outcomes.put(None)

    def _send(self, number: int) -> None:
        for attempt in itertools.count(1):
            try:
                self._send_once(number)
            except Unavailable as error:
                if attempt == _PART_ATTEMPTS or self.stopped.is_set():
                    raise
                self._addresses.drop(number)
                self.stopped.wait(max(pause_before(attempt), min(error.retry_after_seconds or 0, 15)))
            else:
                return

    def _send_once(self, number: int) -> None:
        size_bytes = self._upload.bytes_of(number)
        address = self._addresses.of(number)
        with self._source.path.open("rb") as file:
            file.seek((number - 1) * self._upload.part_bytes)
            piece: Any = _Piece(file, size_bytes, self._on_bytes, self.stopped)
            try:
                self._server.put(address, piece, size_bytes=size_bytes)
            except BaseException:
                self._on_bytes(-piece.sent)
                raise


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


class _Addresses:
    """Where each part goes: asked for in groups shortly before they are needed, and again after a failure."""

    def __init__(self, server: RemoteServer, upload: RemoteUpload) -> None:
        self._server, self._upload = server, upload
        self._known: dict[int, str] = {}
        self._stale_at = 0.0
        self._lock = threading.Lock()

    def of(self, number: int) -> str:
        with self._lock:
            if time.monotonic() >= self._stale_at:
                self._known.clear()
            if number not in self._known:
                self._ask_from(number)
            return self._known[number]

    def drop(self, number: int) -> None:
        with self._lock:
            self._known.pop(number, None)

    def _ask_from(self, first: int) -> None:
        upload_id = self._upload.upload_id
        numbers = [number for number in self._upload.missing if number >= first][:_ADDRESSES_AT_ONCE]
        answer = self._server.post("uploads", upload_id, "parts", body={"numbers": numbers})
        try:
            found = {int(part["number"]): str(part["url"]) for part in answer["parts"]}
            self._stale_at = time.monotonic() + int(answer["expires_in_seconds"]) / 2
        except (KeyError, TypeError, ValueError) as error:
            raise _unknown_answer(self._server) from error
        if first not in found:
            raise _unknown_answer(self._server)
        for number, url in found.items():
            # A server behind a proxy may not know its own name; the one that was asked is right.
            path = f"/api/uploads/{upload_id}/parts/{number}"
            self._known[number] = self._server.url + path if urlsplit(url).path.endswith(path) else url


def _unknown_answer(server: RemoteServer) -> MlserveError:
    return RemoteRefusal(f"{server.url} gave addresses in a way that this command does not know.")
