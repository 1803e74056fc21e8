"""The one door to artifact storage: bytes under a key made from their SHA-256, on disk or in S3.

Django's setting STORAGES says which of the two. Their exceptions are translated to ours. Bytes are stored before any
row refers to them, so a crash leaves at most an object without a row; storing the same bytes again changes nothing.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import IO, Protocol, cast

from django.core.files.base import ContentFile, File
from django.core.files.storage import storages

from mlserve.errors import BadUpload, Unavailable
from registry.storage.digest import Digest, VerifiedReader

log = logging.getLogger(__name__)


class ArtifactStorage(Protocol):
    """What `registry/storage/disk.py` and `registry/storage/s3.py` can do; `save` and `delete` are Django's.

    Every method raises Unavailable when the storage does not answer.
    """

    def holds(self, digest: Digest) -> bool: ...

    def save(self, name: str, content: "File[bytes]") -> str: ...

    def local_copy(self, digest: Digest) -> AbstractContextManager[Path]: ...

    def require_there(self) -> None: ...

    def get(self, key: str) -> bytes: ...

    def delete(self, name: str) -> None: ...

    def listed(self, folder: str, *, after: str) -> Iterator[tuple[str, datetime]]: ...


def store(path: Path, digest: Digest) -> None:
    """Put the file's bytes under `digest.key`, unless they are there; damaged ones are replaced.

    Raises Unavailable, or BadUpload when the file cannot be read or has other bytes than the digest's.
    """
    if _storage().holds(digest):
        return
    try:
        file = path.open("rb")
    except OSError as error:
        raise BadUpload(f"{path} cannot be read: {error.strerror}.") from error
    with file:
        _storage().save(digest.key, File(cast("IO[bytes]", VerifiedReader(file, digest))))


def local_copy(digest: Digest) -> AbstractContextManager[Path]:
    """A path with exactly these bytes, checked against the digest. Raises ArtifactUnavailable when they are absent or
    damaged, and Unavailable when the storage does not answer.

    A file of the local storage is used in place; from S3 it is fetched once per machine into MLSERVE_CACHE_DIR, and
    stays there at least as long as the block runs.
    """
    return _storage().local_copy(digest)


def require_there() -> None:
    """Raise Unavailable when the folder is not the one that artifacts were stored in. S3 needs no such check."""
    _storage().require_there()


def put(key: str, content: bytes) -> None:
    """Store bytes under a new key. Raises Unavailable."""
    _storage().save(key, ContentFile(content))


def get(key: str) -> bytes:
    """The bytes under a key. Raises Unavailable."""
    return _storage().get(key)


def remove_or_raise(key: str) -> None:
    """Delete an object; an absent one is no error. Raises Unavailable."""
    _storage().delete(key)


def remove(keys: Sequence[str]) -> None:
    """Delete objects, as far as that is possible; those that stay are logged, and do no harm."""
    for key in keys:
        try:
            _storage().delete(key)
        except Unavailable as error:
            log.warning("%s stays in the storage: %s", key, error.detail)


def listed(folder: str, *, after: str = "") -> Iterator[tuple[str, datetime]]:
    """Key and time of writing of the objects in a folder, in the order of their keys, from `folder/after` on.

    Asks for some hundreds at a time, as they are needed. Raises Unavailable, also in the middle.
    """
    return _storage().listed(folder, after=after)


def _storage() -> ArtifactStorage:
    return cast(ArtifactStorage, storages["artifacts"])
