"""Artifacts on this machine's disk: for laptops and services on one machine."""

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from django.core.files.base import File
from django.core.files.storage import FileSystemStorage

from mlserve.errors import PayloadLost, Unavailable
from registry.storage.digest import CHUNK_BYTES, Digest, damaged, not_stored, read_digest

# Within the storage's folder, because a file can be renamed within one file system only.
_INCOMING = ".incoming"
# A file that was made a moment ago may not have its lock yet, and is not one that a killed process left.
_YOUNG_SECONDS = 60


class AtomicFileSystemStorage(FileSystemStorage):
    """Files appear under their name complete or not at all, also when the process is killed while writing."""

    def holds(self, digest: Digest) -> bool:
        """A disk can rot, so the bytes are read again."""
        try:
            with Path(self.path(digest.key)).open("rb") as file:
                return read_digest(file, digest.size_bytes) == digest
        except FileNotFoundError:
            return False
        except OSError as error:
            raise _refused(error) from error

    @contextmanager
    def local_copy(self, digest: Digest) -> Iterator[Path]:
        path = Path(self.path(digest.key))
        try:
            with path.open("rb") as file:
                found = read_digest(file, digest.size_bytes)
        except FileNotFoundError as error:
            self.require_there()
            raise not_stored(digest) from error
        except OSError as error:
            raise Unavailable(f"The {digest} cannot be read: {error.strerror}.") from error
        if found != digest:
            raise damaged(digest, found)
        yield path

    def require_there(self) -> None:
        """Raise Unavailable when nothing was ever stored in the folder, as where a disk is not mounted.

        Otherwise missing files would count as lost, and new files would be hidden once the disk is mounted.
        """
        if not Path(self.path(_INCOMING)).is_dir():
            raise Unavailable(
                f"The storage is not there: nothing was ever stored in {self.location}. Is its disk mounted?"
            )

    def get(self, key: str) -> bytes:
        try:
            return Path(self.path(key)).read_bytes()
        except FileNotFoundError as error:
            self.require_there()
            raise PayloadLost(f"The storage does not hold {key} any more.") from error
        except OSError as error:
            raise Unavailable(f"The storage did not give the data ({error}). Try again in a moment.") from error

    def delete(self, name: str) -> None:
        """Also the folder when it is empty then, because each prediction has one of its own."""
        try:
            super().delete(name)
            with suppress(OSError):
                Path(self.path(name)).parent.rmdir()
        except OSError as error:
            raise Unavailable(f"The storage did not delete {name} ({error}).") from error

    def listed(self, folder: str, *, after: str) -> Iterator[tuple[str, datetime]]:
        try:
            for entry in _entries(self.path(folder)):
                if entry.name >= after:
                    for path, written_at in _files(entry):
                        yield Path(path).relative_to(self.location).as_posix(), written_at
        except OSError as error:
            raise Unavailable(f"The storage does not tell what it holds ({error}).") from error

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        """The name itself: it says which bytes belong there, so those that it replaces are the same or damaged."""
        return name

    def _save(self, name: str, content: "File[bytes]") -> str:
        target, incoming = Path(self.path(name)), Path(self.path(_INCOMING))
        try:
            incoming.mkdir(parents=True, exist_ok=True)
            _delete_abandoned(incoming)
            descriptor, temporary = tempfile.mkstemp(dir=incoming)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX)
                    _write(file, content)
                    _put_in_place(Path(temporary), target)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise _refused(error) from error
        return name


def _refused(error: OSError) -> Unavailable:
    return Unavailable(f"The artifact storage did not take the data ({error}), nothing was stored.")


def _entries(folder: "str | os.DirEntry[str]") -> "list[os.DirEntry[str]]":
    """In the order of their names; [] when another process deleted the folder."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:
        return []


def _files(entry: "os.DirEntry[str]") -> Iterator[tuple[str, datetime]]:
    """Path and time of writing of a file, or of the files in a folder; without those that are deleted meanwhile."""
    if entry.is_dir():
        for inner in _entries(entry):
            yield from _files(inner)
    else:
        with suppress(FileNotFoundError):
            yield entry.path, datetime.fromtimestamp(entry.stat().st_mtime, UTC)


def _put_in_place(temporary: Path, target: Path) -> None:
    """Once more when another process deletes the folder, which was empty, just before the file is there."""
    for is_last in (False, True):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.replace(target)
        except FileNotFoundError:
            if is_last:
                raise
        else:
            return


def _write(file: IO[bytes], content: "File[bytes]") -> None:
    for chunk in content.chunks(CHUNK_BYTES):
        file.write(chunk)
    file.flush()
    os.fsync(file.fileno())


def _delete_abandoned(folder: Path) -> None:
    """Delete the files of killed processes: a living writer holds a lock on its file."""
    for path in folder.iterdir():
        try:
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if time.time() - os.fstat(file.fileno()).st_mtime > _YOUNG_SECONDS:
                    path.unlink()
        except (BlockingIOError, FileNotFoundError):
            continue  # it is being written, or was renamed meanwhile
