"""An upload at another server: a file's digest, opened or resumed, submitted, followed to its end.

Whatever fails, the parts that arrived stay on the server for a day, and the next run sends the others.
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlserve.errors import BadUpload, RemoteRefusal, Unavailable
from registry.client.resume_store import RememberedUploads
from registry.client.server import RemoteServer
from registry.inspection.version_request import VersionRequest

_CHUNK_BYTES = 2**20
_LOOK_EVERY_SECONDS = 1.0
# How long a server may give no answer, and how long an upload may stand still, before it is followed no further.
_AWAY_SECONDS = 120
_STILL_SECONDS = 900

_GOING_ON = frozenset({"open", "queued", "inspecting"})

OnBytes = Callable[[int], None]


@dataclass(frozen=True)
class Source:
    """A file with its digest. Only the bytes that were hashed are worth sending."""

    path: Path
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class RemoteUpload:
    """An upload as the server describes it; `arrived` are the numbers of the parts that are there."""

    upload_id: str
    status: str
    size_bytes: int
    part_bytes: int
    part_count: int
    arrived: frozenset[int]
    progress: Mapping[str, Any]
    report: Mapping[str, Any] | None
    problem: Mapping[str, Any] | None

    @property
    def has_ended(self) -> bool:
        return self.status not in _GOING_ON

    @property
    def missing(self) -> list[int]:
        return [number for number in range(1, self.part_count + 1) if number not in self.arrived]

    @property
    def missing_bytes(self) -> int:
        """What must be sent; an upload that was submitted has everything."""
        return sum(map(self.bytes_of, self.missing)) if self.status == "open" else 0

    def bytes_of(self, number: int) -> int:
        return min(self.part_bytes, self.size_bytes - (number - 1) * self.part_bytes)


def hashed(path: Path, on_bytes: OnBytes) -> Source:
    """Raises BadUpload when the file cannot be read or is empty."""
    digest, size_bytes = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
                size_bytes += len(chunk)
                on_bytes(len(chunk))
    except OSError as error:
        raise BadUpload(f"{path} cannot be read: {error.strerror}.") from error
    if not size_bytes:
        raise BadUpload(f"{path} is empty. Give the fitted pipeline, a skops, joblib or pickle file.")
    return Source(path, size_bytes, digest.hexdigest())


def registered_there(server: RemoteServer, request: VersionRequest, source: Source) -> dict[str, Any] | None:
    """The version under this tag, so that nothing is sent for nothing. Raises RemoteRefusal when it is another one."""
    try:
        version = server.get("models", request.model, "versions", request.tag)
    except RemoteRefusal as error:
        if error.answered == 404:
            return None
        raise
    if version.get("sha256") != source.sha256:
        raise RemoteRefusal(
            f"{request.model} {request.tag} at {server.url} is another artifact. A version never changes: "
            "upload under a new tag.",
            answered=409,
        )
    return version


def opened(server: RemoteServer, source: Source, remembered: RememberedUploads) -> RemoteUpload:
    """The upload of these bytes that an earlier run began and that goes on, or a new one."""
    if upload_id := remembered.recall(server.url, source.sha256):
        try:
            upload = looked_up(server, upload_id)
        except RemoteRefusal as error:
            if error.answered not in (400, 404):
                raise
        else:
            if not upload.has_ended and upload.size_bytes == source.size_bytes:
                return upload
    try:
        upload = _upload(server.post("uploads", body={"size_bytes": source.size_bytes, "file_name": source.path.name}))
    except RemoteRefusal as error:
        if error.answered == 404:
            raise RemoteRefusal(f"{server.url} takes no direct uploads. Check the address.") from error
        raise
    remembered.remember(server.url, source.sha256, upload.upload_id)
    return upload


def submitted(server: RemoteServer, upload: RemoteUpload, request: VersionRequest, source: Source) -> RemoteUpload:
    """Ask for the inspection of an upload whose parts are all there; asking the same again changes nothing."""
    fields = [*request.api_fields(), ("sha256", source.sha256), ("upload", upload.upload_id)]
    return _upload(server.post_form("models", request.model, "versions", fields=fields))


def followed(
    server: RemoteServer,
    upload: RemoteUpload,
    on_change: Callable[[RemoteUpload], None],
    *,
    pause: Callable[[float], None] = time.sleep,
) -> RemoteUpload:
    """Look at the upload until it has ended. Raises Unavailable when it stands still, or the server does not answer."""
    changed_at = answered_at = time.monotonic()
    while not upload.has_ended:
        pause(_LOOK_EVERY_SECONDS)
        try:
            seen = looked_up(server, upload.upload_id)
        except Unavailable:
            if time.monotonic() - answered_at > _AWAY_SECONDS:
                raise
            continue
        answered_at = time.monotonic()
        if seen != upload:
            changed_at, upload = answered_at, seen
            on_change(seen)
        elif answered_at - changed_at > _STILL_SECONDS:
            raise Unavailable(
                f"The upload is {seen.status} for {_STILL_SECONDS // 60} minutes now. Is a worker running? "
                "The same command follows it further."
            )
    return upload


def looked_up(server: RemoteServer, upload_id: str) -> RemoteUpload:
    return _upload(server.get("uploads", upload_id))


def _upload(document: Mapping[str, Any]) -> RemoteUpload:
    numbers = ("size_bytes", "part_bytes", "part_count")
    try:
        upload = RemoteUpload(
            upload_id=str(document["upload_id"]),
            status=str(document["status"]),
            **{name: int(document[name]) for name in numbers},
            arrived=frozenset(int(part["number"]) for part in document["parts"]),
            progress=document["progress"] or {},
            report=document["report"],
            problem=document["problem"],
        )
        if upload.part_bytes < 1 or upload.part_count != -(-upload.size_bytes // upload.part_bytes):
            raise ValueError
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise RemoteRefusal("The server described the upload in a way that this client does not know.") from error
    return upload
