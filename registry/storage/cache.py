"""Artifacts that come over the network, kept on this machine's disk for all its processes.

   MLSERVE_CACHE_DIR/sha256/ab/abcdef…   complete; a user holds a shared lock on it
                    /incoming/abcdef…    being fetched, by the holder of its exclusive lock; its room is reserved
                    /lock                held for a moment while room is made

The locks are flock's: they end with their process, however that ends, and they exclude threads from each other, too,
because each thread opens the file anew. While a thread waits for a lock, the name may come to mean another file, so it
is looked up again afterwards.
"""

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mlserve.errors import ArtifactUnavailable, Unavailable
from registry.storage.digest import Digest, damaged, read_digest, too_large

log = logging.getLogger(__name__)

# Writes the bytes of an artifact to a file; none of them is checked yet.
Source = Callable[["CheckedFile"], None]

# A gibibyte over a slow network, with others before it.
PATIENCE_SECONDS = 600
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class ArtifactCache:
    """At most `most_bytes` under `root`, what is being fetched included; the least recently used are deleted first."""

    root: Path
    most_bytes: int
    patience_seconds: float = PATIENCE_SECONDS

    @contextmanager
    def copy_of(self, digest: Digest, source: Source) -> Iterator[Path]:
        """A path with exactly these bytes, which stays as long as the block runs.

        The first caller fetches it, the others wait. The bytes are hashed once they are written, and again
        each time that they are found here. Raises Unavailable, ArtifactUnavailable, or what `source` raises.
        """
        try:
            file = self._held(digest, source)
        except OSError as error:
            raise Unavailable(
                f"The {digest} cannot be kept in {self.root} (MLSERVE_CACHE_DIR): {error.strerror or error}."
            ) from error
        with file:
            yield self._path(digest)

    def make_way(self, size_bytes: int) -> None:
        """Delete artifacts that are not in use until `size_bytes` more fit into the bound, as far as that is possible.

        For callers that need that much of the same disk for a moment. Raises Unavailable.
        """
        try:
            self.root.joinpath("incoming").mkdir(parents=True, exist_ok=True, mode=0o700)
            with (self.root / "lock").open("wb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                self._evict(max(0, self.most_bytes - size_bytes))
        except OSError as error:
            raise Unavailable(f"{self.root} (MLSERVE_CACHE_DIR) cannot be used: {error.strerror or error}.") from error

    def _held(self, digest: Digest, source: Source) -> IO[bytes]:
        """The complete file with a shared lock on it."""
        deadline = time.monotonic() + self.patience_seconds
        while True:
            file = self._found(digest) or self._fetched(digest, source, deadline)
            if file is not None:
                os.utime(file.fileno())  # the order in which files are deleted
                return file
            _wait(deadline, f"The {digest} was changed or deleted in {self.root} again and again.")

    def _found(self, digest: Digest) -> IO[bytes] | None:
        """None when it is not here. What was changed here is deleted, for it can be fetched again."""
        path = self._path(digest)
        with suppress(FileNotFoundError):
            file = path.open("rb")
            fcntl.flock(file, fcntl.LOCK_SH)
            if _leads_to(path, file):
                if read_digest(file, digest.size_bytes) == digest:
                    return file
                log.warning("%s was changed or damaged; it is fetched again", path)
                file.close()
                _delete_unused(path)
            file.close()
        return None

    def _fetched(self, digest: Digest, source: Source, deadline: float) -> IO[bytes] | None:
        """None when another caller has fetched it meanwhile."""
        incoming, path = self.root / "incoming" / digest.sha256, self._path(digest)
        for folder in (incoming.parent, path.parent):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = self._turn(incoming, path, deadline)
        if file is None:
            return None
        try:
            self._make_room(file, digest, deadline)
            _write(file, digest, source)
            incoming.replace(path)
            fcntl.flock(file, fcntl.LOCK_SH)
        except BaseException:
            incoming.unlink(missing_ok=True)  # before the lock ends and another caller writes to it
            file.close()
            raise
        if _leads_to(path, file):
            return file
        file.close()
        return None

    def _turn(self, incoming: Path, path: Path, deadline: float) -> IO[bytes] | None:
        """The locked file that one process at a time writes to; None when the artifact is complete."""
        while not path.exists():
            file = os.fdopen(os.open(incoming, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
            if _try_lock(file) and _leads_to(incoming, file):
                if not path.exists():
                    return file
                incoming.unlink()
            file.close()
            _wait(deadline, f"Another process has been fetching {path.name[:12]}… for long. Try again in a moment.")
        return None

    def _make_room(self, file: IO[bytes], digest: Digest, deadline: float) -> None:
        """Reserve room in the file's name by giving it its final size."""
        if digest.size_bytes > self.most_bytes:
            raise ArtifactUnavailable(
                f"The {digest} has {digest.size_bytes} bytes, more than the {self.most_bytes} that may be kept in "
                f"{self.root}. Raise MLSERVE_CACHE_BYTES, on Lambda together with the function's ephemeral storage."
            )
        file.truncate(0)
        while True:
            with (self.root / "lock").open("wb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if self._evict(self.most_bytes - digest.size_bytes):
                    file.truncate(digest.size_bytes)
                    return
            _wait(
                deadline,
                f"Artifacts in use leave no room for the {digest} in {self.root}. Raise MLSERVE_CACHE_BYTES "
                f"({self.most_bytes}), so that all of them fit at once.",
            )

    def _evict(self, most_bytes: int) -> bool:
        """Delete files that are not in use, if necessary; whether no more than `most_bytes` are left."""
        left = sum(_size(path) for path in (self.root / "incoming").iterdir() if not _delete_unused(path))
        complete = sorted((found.st_mtime, path) for path in self.root.glob("sha256/*/*") if (found := _stat(path)))
        left += sum(_size(path) for _, path in complete)
        for _, path in complete:
            if left <= most_bytes:
                break
            size = _size(path)
            left -= size if _delete_unused(path) else 0
        return left <= most_bytes

    def _path(self, digest: Digest) -> Path:
        return self.root / digest.key


class CheckedFile:
    """The file that a source writes to, in any order; it takes no byte beyond the size that the digest says."""

    def __init__(self, file: IO[bytes], digest: Digest) -> None:
        self._file, self._digest = file, digest
        self.tell, self.seek = file.tell, file.seek

    def write(self, chunk: bytes) -> int:
        if self.tell() + len(chunk) > self._digest.size_bytes:
            raise too_large(self._digest)
        return self._file.write(chunk)


def _write(file: IO[bytes], digest: Digest, source: Source) -> None:
    """Raises ArtifactUnavailable when they are other bytes, or what `source` raises."""
    source(CheckedFile(file, digest))
    file.flush()
    file.seek(0)
    found = read_digest(file, digest.size_bytes)
    if found != digest:
        raise damaged(digest, found)


def _try_lock(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _delete_unused(path: Path) -> bool:
    """Whether the file is deleted, now or before: no other process held a lock on it."""
    try:
        with path.open("rb") as file:
            if not (_try_lock(file) and _leads_to(path, file)):
                return False
            path.unlink()
    except FileNotFoundError:
        pass
    return True


def _leads_to(path: Path, file: IO[bytes]) -> bool:
    found = _stat(path)
    return found is not None and os.path.samestat(found, os.fstat(file.fileno()))


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _size(path: Path) -> int:
    found = _stat(path)
    return found.st_size if found else 0


def _wait(deadline: float, otherwise: str) -> None:
    """Raises Unavailable when the time is up."""
    if time.monotonic() > deadline:
        raise Unavailable(otherwise)
    time.sleep(_POLL_SECONDS)
