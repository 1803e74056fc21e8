"""The one door to artifact storage: bytes under a key made from their SHA-256, on disk or in S3.

Vendor exceptions stop here and become Unavailable. Bytes are stored before any row refers to them, so a crash
leaves at most an object that nobody needs, and storing again what is there is a no-op.
"""

import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage, Storage, storages

from mlserve.errors import ArtifactUnavailable, BadUpload, TooLarge, Unavailable

log = logging.getLogger(__name__)

_CHUNK_BYTES = 2**20
_VENDOR_ERRORS = (OSError, ClientError, BotoCoreError)


@dataclass(frozen=True)
class Digest:
    sha256: str
    size_bytes: int

    @property
    def key(self) -> str:
        """Where these bytes are in the storage. The prefix keeps folders small on a disk."""
        return f"sha256/{self.sha256[:2]}/{self.sha256}"


class AtomicFileSystemStorage(FileSystemStorage):
    """Files appear under their name complete or not at all, also when the process is killed while writing."""

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        """The name itself: it says what the bytes must be, so what stands there is the same or damaged."""
        return name

    def _save(self, name: str, content: "File[bytes]") -> str:
        target = Path(self.path(name))
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=".incoming-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                for chunk in content.chunks(_CHUNK_BYTES):
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        return name


def digest_of(path: Path) -> Digest:
    """SHA-256 and size of a file in one streamed pass. Raises BadUpload, or TooLarge above the limit."""
    limit = settings.MLSERVE_MAX_ARTIFACT_BYTES
    try:
        with path.open("rb") as file:
            sha256, size_bytes = _hash(file, limit)
    except OSError as error:
        raise BadUpload(f"{path} cannot be read: {error.strerror}.") from error
    if size_bytes > limit:
        raise TooLarge(f"{path.name} is larger than {limit} bytes (MLSERVE_MAX_ARTIFACT_BYTES).")
    return Digest(sha256, size_bytes)


def store(path: Path, digest: Digest) -> None:
    """Put the file's bytes under `digest.key`, unless they are there; damaged ones are replaced. Raises Unavailable."""
    storage = _storage()
    try:
        if _holds(storage, digest):
            return
        with path.open("rb") as file:
            storage.save(digest.key, File(file))
    except _VENDOR_ERRORS as error:
        raise Unavailable(f"The artifact storage did not take the file ({error}). Nothing was registered.") from error


def _holds(storage: Storage, digest: Digest) -> bool:
    """Whether the bytes are there. A disk is read again, for it can rot; S3 keeps checksums of its own."""
    if not storage.exists(digest.key) or storage.size(digest.key) != digest.size_bytes:
        return False
    if not isinstance(storage, FileSystemStorage):
        return True
    with storage.open(digest.key) as file:
        return _hash(file, digest.size_bytes)[0] == digest.sha256


@contextmanager
def local_copy(digest: Digest) -> Iterator[Path]:
    """A path with exactly these bytes, checked against the digest. Raises ArtifactUnavailable.

    A file of the local storage is used in place; from S3 it is fetched once into MLSERVE_CACHE_DIR.
    """
    path = _local_path(digest)
    try:
        with path.open("rb") as file:
            found, _ = _hash(file, digest.size_bytes)
    except OSError as error:
        raise ArtifactUnavailable(f"The artifact {digest.sha256[:12]}… cannot be read: {error.strerror}.") from error
    if found != digest.sha256:
        if path.is_relative_to(settings.MLSERVE_CACHE_DIR):
            path.unlink(missing_ok=True)  # the next attempt fetches it anew
        raise ArtifactUnavailable(
            f"The stored artifact has the SHA-256 {found[:12]}…, but {digest.sha256[:12]}… was registered. "
            "It was changed or damaged; upload it again."
        )
    yield path


def put(key: str, content: bytes) -> None:
    """Store bytes under a new key. Raises Unavailable."""
    try:
        _storage().save(key, ContentFile(content))
    except _VENDOR_ERRORS as error:
        raise Unavailable(f"The storage did not take the data ({error}). Nothing was accepted.") from error


def get(key: str) -> bytes:
    """The bytes under a key. Raises Unavailable."""
    try:
        with _storage().open(key) as file:
            content: bytes = file.read()
    except _VENDOR_ERRORS as error:
        raise Unavailable(f"The storage did not give the data ({error}). Try again in a moment.") from error
    return content


def remove(keys: Sequence[str]) -> None:
    """Delete objects, as far as that is possible; what stays is logged and harms nobody."""
    for key in keys:
        try:
            _storage().delete(key)
        except _VENDOR_ERRORS as error:
            log.warning("%s stays in the storage: %s", key, error)


def _local_path(digest: Digest) -> Path:
    storage = _storage()
    if isinstance(storage, FileSystemStorage):
        return Path(storage.path(digest.key))
    path = Path(settings.MLSERVE_CACHE_DIR) / digest.key
    if not path.exists():
        _fetch(storage, digest, path)
    return path


def _fetch(storage: Storage, digest: Digest, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.TemporaryDirectory(dir=path.parent, prefix=".incoming-") as folder,
            storage.open(digest.key) as source,
        ):
            incoming = Path(folder) / "artifact"
            with incoming.open("wb") as target:
                for chunk in source.chunks(_CHUNK_BYTES):
                    target.write(chunk)
            incoming.replace(path)
    except _VENDOR_ERRORS as error:
        raise ArtifactUnavailable(f"The artifact {digest.sha256[:12]}… cannot be fetched ({error}).") from error


def _hash(file: IO[bytes], limit: int) -> tuple[str, int]:
    """(hex digest, bytes read); stops reading one chunk after `limit`."""
    sha256, size = hashlib.sha256(), 0
    while chunk := file.read(_CHUNK_BYTES):
        sha256.update(chunk)
        size += len(chunk)
        if size > limit:
            break
    return sha256.hexdigest(), size


def _storage() -> Storage:
    return storages["artifacts"]
