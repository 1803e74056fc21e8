"""Parts of an upload go through this server to a folder beside the artifacts."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from mlserve.errors import BadRequest, BadUpload, Conflict, Unavailable
from registry.multipart.parts import Staging, require_all

_CHUNK_BYTES = 2**20


class DiskTransfer:
    """A file per part, which appears under its name complete or not at all."""

    def __init__(self, location: Path) -> None:
        self._location = location

    def begin(self, staging: Staging) -> str:
        with _disk_errors():
            self._folder(staging).mkdir(parents=True, exist_ok=True)
        return ""

    def origin(self) -> str:
        return ""

    def address_of(self, staging: Staging, number: int) -> str | None:
        return None

    def receive(self, staging: Staging, number: int, stream: IO[bytes]) -> None:
        """The folder is made at the beginning only, so that a part that comes after the end leaves nothing behind."""
        folder = self._folder(staging)
        try:
            descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=".incoming-")
        except FileNotFoundError as error:
            raise _gone() from error
        try:
            with os.fdopen(descriptor, "wb") as target:
                _copy_exactly(stream, target, staging.bytes_of(number))
            with _disk_errors():
                Path(temporary).replace(folder / _part_name(number))
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def arrived(self, staging: Staging) -> list[int]:
        sizes = self._sizes(staging)
        return sorted(number for number, size in sizes.items() if size == staging.bytes_of(number))

    def complete(self, staging: Staging) -> None:
        require_all(staging, self._sizes(staging))

    def fetch(self, staging: Staging, path: Path) -> None:
        folder = self._folder(staging)
        with _disk_errors(), path.open("wb") as target:
            for number in range(1, staging.part_count + 1):
                try:
                    part = (folder / _part_name(number)).open("rb")
                except FileNotFoundError as error:
                    raise BadUpload(f"Part {number} is not on the disk any more. Upload the file again.") from error
                with part:
                    shutil.copyfileobj(part, target, _CHUNK_BYTES)

    def discard(self, staging: Staging) -> None:
        with _disk_errors(), suppress(FileNotFoundError):
            shutil.rmtree(self._location / staging.prefix)

    def _folder(self, staging: Staging) -> Path:
        return self._location / staging.prefix / "parts"

    def _sizes(self, staging: Staging) -> dict[int, int]:
        with _disk_errors(), suppress(FileNotFoundError), os.scandir(self._folder(staging)) as entries:
            return {int(entry.name): entry.stat().st_size for entry in entries if entry.name.isdigit()}
        return {}


def _copy_exactly(stream: IO[bytes], target: IO[bytes], size_bytes: int) -> None:
    """Never more than `size_bytes`, nor more than a mebibyte of it in memory."""
    left = size_bytes
    while left:
        try:
            chunk = stream.read(min(left, _CHUNK_BYTES))
        except OSError as error:  # Django's word for a client that is gone is an OSError
            raise _cut_short(size_bytes - left, size_bytes) from error
        if not chunk:
            raise _cut_short(size_bytes - left, size_bytes)
        with _disk_errors():
            target.write(chunk)
        left -= len(chunk)
    with _disk_errors():
        target.flush()


def _cut_short(arrived: int, expected: int) -> BadRequest:
    return BadRequest(f"The body ended after {arrived} of {expected} bytes. Send the part again.")


def _gone() -> Conflict:
    return Conflict("The upload was abandoned meanwhile. Open a new one: POST /api/uploads.")


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise Unavailable(f"The server's disk did not take or give the upload: {reason}.") from error


def _part_name(number: int) -> str:
    return f"{number:05}"
