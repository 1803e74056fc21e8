"""What names an artifact: the SHA-256 and the size of its bytes."""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from django.conf import settings

from mlserve.errors import ArtifactUnavailable, BadUpload, TooLarge
from mlserve.units import size_text

CHUNK_BYTES = 2**20


@dataclass(frozen=True)
class Digest:
    sha256: str
    size_bytes: int

    @property
    def key(self) -> str:
        """Where these bytes are in the storage. The prefix keeps folders small on a disk."""
        return f"sha256/{self.sha256[:2]}/{self.sha256}"

    def __str__(self) -> str:
        return f"artifact {self.sha256[:12]}…"


def digest_of(path: Path) -> Digest:
    """SHA-256 and size of a file in one streamed pass. Raises BadUpload, or TooLarge above the limit."""
    limit = settings.MLSERVE_MAX_ARTIFACT_BYTES
    try:
        with path.open("rb") as file:
            found = read_digest(file, limit)
    except OSError as error:
        raise BadUpload(f"{path} cannot be read: {error.strerror}.") from error
    if found.size_bytes > limit:
        raise TooLarge(f"{path.name} is larger than {size_text(limit)} (MLSERVE_MAX_ARTIFACT_BYTES).")
    return found


def read_digest(file: IO[bytes], limit: int) -> Digest:
    """Of what is left in the file; reading stops one chunk after `limit` bytes."""
    sha256, size = hashlib.sha256(), 0
    while chunk := file.read(CHUNK_BYTES):
        sha256.update(chunk)
        size += len(chunk)
        if size > limit:
            break
    return Digest(sha256.hexdigest(), size)


class VerifiedReader(io.RawIOBase):
    """Reads a file once, to its end, and hashes it.

    `read` raises BadUpload instead of returning the last bytes of another file than `digest` says, so that a file that
    changes while it is stored is never stored as a whole.
    """

    def __init__(self, file: IO[bytes], digest: Digest) -> None:
        self._file, self._digest = file, digest
        self._sha256, self._size_bytes = hashlib.sha256(), 0

    def read(self, size: int = -1, /) -> bytes:
        try:
            chunk = self._file.read(size)
        except OSError as error:
            raise BadUpload(f"The {self._digest} cannot be read: {error.strerror}.") from error
        self._sha256.update(chunk)
        self._size_bytes += len(chunk)
        is_whole = not chunk or self._size_bytes >= self._digest.size_bytes
        if is_whole and Digest(self._sha256.hexdigest(), self._size_bytes) != self._digest:
            raise BadUpload(f"The file changed while it was stored: it was the {self._digest}. Nothing was registered.")
        return chunk


def not_stored(digest: Digest) -> ArtifactUnavailable:
    return ArtifactUnavailable(
        f"The {digest} is not in the storage. Either it was deleted, then upload it again, or this process looks into "
        "another storage than the one that took it: compare MLSERVE_BUCKET and MLSERVE_DATA_DIR."
    )


def damaged(digest: Digest, found: Digest) -> ArtifactUnavailable:
    return ArtifactUnavailable(
        f"The stored artifact has the SHA-256 {found.sha256[:12]}… and {found.size_bytes} bytes, but "
        f"{digest.sha256[:12]}… with {digest.size_bytes} bytes was registered. "
        "It was changed or damaged; upload it again."
    )


def too_large(digest: Digest) -> ArtifactUnavailable:
    return ArtifactUnavailable(
        f"The stored artifact has more bytes than the {digest.size_bytes} of the {digest} that was registered. "
        "It was changed or damaged; upload it again."
    )
