"""The files in a folder, a zip or a tar.gz, read without trusting what the archive says of itself. Pure.

Files are copied one by one under names of ours, so nothing that an archive names decides where bytes are written.
Links, devices, and names that lead out of the archive end the reading.
"""

import gzip
import io
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, Protocol, cast

from mlserve.units import size_text
from registry.bundles.errors import OF_A_STRANGER, UnusableBundle, listed
from registry.formats import skops_load

# What makes a folder a model of MLflow.
MLMODEL = "MLmodel"
_ARCHIVES = (".zip", ".tar.gz", ".tgz")
# What is read to list an archive: 16,000 headers of a tar. An archive can name millions of files in a few megabytes.
_LISTING_BYTES = 8 * 2**20
_MOST_FILES = 10_000
_CHUNK_BYTES = 2**20
_TAR_BLOCK_BYTES = 512
_ZIP, _GZIP = b"PK\x03\x04", b"\x1f\x8b"
# What unpacking damaged or crafted bytes raises; RuntimeError: the file is encrypted.
_DAMAGED = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, ValueError, OverflowError, RuntimeError, KeyError,
)  # fmt: skip


class Members(Protocol):
    """Names are relative, with slashes; each is there once, in the order of the archive.

    To open the files of a tar.gz in another order unpacks it again for each.
    """

    def names(self) -> list[str]: ...

    def opened(self, name: str) -> IO[bytes]: ...


class TooMuchToList(Exception):
    """The archive has more files than a folder of a model."""


class Folder:
    """Files of a folder on this disk. A link may lead only to files in the folder."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def names(self) -> list[str]:
        found: list[str] = []
        for folder, _, names in os.walk(self._root):
            for name in names:
                path = Path(folder, name)
                if path.is_file():
                    found.append(path.relative_to(self._root).as_posix())
            if len(found) > _MOST_FILES:
                raise UnusableBundle(
                    f"The artifact is a folder; give a file, or the folder of one model of MLflow. It holds more than "
                    f"{_MOST_FILES:,} files.",
                    "Give the file of the pipeline itself.",
                )
        return sorted(found)

    def path(self, name: str) -> Path:
        """Where the file is. Raises UnusableBundle for a link out of the folder."""
        path = (self._root / name).resolve()
        if not path.is_relative_to(self._root):
            raise UnusableBundle(f"{listed([name])} is a link out of the folder.", "Replace it by the file itself.")
        return path

    def opened(self, name: str) -> IO[bytes]:
        return self.path(name).open("rb")


class _Budgeted:
    """A file of which at most `budget` bytes are read, as long as there is one, and nothing beyond `end`."""

    def __init__(self, file: IO[bytes], end: int) -> None:
        self._file, self._end = file, end
        self.budget: int | None = _LISTING_BYTES

    def read(self, size: int = -1) -> bytes:
        if self.budget is None:
            return self._file.read(size)
        data = self._file.read(self.budget + 1 if size < 0 else min(size, self.budget + 1))
        self.budget -= len(data)
        if self.budget < 0:
            raise TooMuchToList
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if offset > self._end:
            raise UnusableBundle(
                f"The archive unpacks to more than {size_text(self._end)}.",
                "Pack the model alone, or raise MLSERVE_MAX_ARTIFACT_BYTES.",
            )
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True


class _Zip:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._files: dict[str, zipfile.ZipInfo] = {}
        for info in archive.infolist():
            mode = info.external_attr >> 16
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _not_a_file(info.filename)
            if not info.is_dir():
                _add(self._files, info.filename, info)

    def names(self) -> list[str]:
        return list(self._files)

    def opened(self, name: str) -> IO[bytes]:
        info = self._files[name]
        # The others may ask for gigabytes of memory before they give a byte.
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UnusableBundle(
                f"{listed([name])} is compressed in an unusual way.", "Zip the folder with the usual one, deflate."
            )
        return self._archive.open(info)


class _Tar:
    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive
        self._files: dict[str, tarfile.TarInfo] = {}
        for info in archive:
            if info.isdir():
                continue
            if not info.isreg() or info.issparse():
                raise _not_a_file(info.name)
            _add(self._files, info.name, info)

    def names(self) -> list[str]:
        return list(self._files)

    def opened(self, name: str) -> IO[bytes]:
        return cast(IO[bytes], self._archive.extractfile(self._files[name]))


@contextmanager
def members_of(path: Path, *, max_bytes: int) -> Iterator[Members | None]:
    """The files in a folder, a zip or a tar.gz of at most `max_bytes` unpacked; None for any other file.

    Raises UnusableBundle for what no tool packs, and for damaged bytes, while listing and within the block.
    """
    if path.is_dir():
        yield Folder(path)
        return
    with path.open("rb") as file:
        try:
            yield _archive(path, file, max_bytes)
        except _DAMAGED as error:
            raise UnusableBundle(
                f"The archive is truncated or damaged ({type(error).__name__}: {error}).",
                "Compare its size with the original and upload it again.",
            ) from error


def copy(members: Members, name: str, target: Path, *, max_bytes: int) -> None:
    """Write the file to `target`. Raises UnusableBundle beyond `max_bytes`, whatever size the archive tells."""
    left = max_bytes
    with members.opened(name) as source, target.open("wb") as file:
        while chunk := source.read(_CHUNK_BYTES):
            left -= len(chunk)
            if left < 0:
                raise UnusableBundle(
                    f"{listed([name])} unpacks to more than {size_text(max_bytes)}.",
                    "Make the model smaller, or raise MLSERVE_MAX_ARTIFACT_BYTES.",
                )
            file.write(chunk)


def read(members: Members, name: str, *, max_bytes: int) -> bytes:
    """The whole file, or UnusableBundle when it is larger."""
    content = head(members, name, max_bytes + 1)
    if len(content) > max_bytes:
        raise UnusableBundle(f"{listed([name])} is larger than {size_text(max_bytes)}.", OF_A_STRANGER)
    return content


def head(members: Members, name: str, size: int) -> bytes:
    with members.opened(name) as file:
        return file.read(size)


def is_named_as_archive(name: str) -> bool:
    return name.lower().endswith(_ARCHIVES)


def _archive(path: Path, file: IO[bytes], max_bytes: int) -> Members | None:
    start = file.read(len(_ZIP))
    file.seek(0)
    if start == _ZIP:
        return _zip(_Budgeted(file, path.stat().st_size))
    if start.startswith(_GZIP) and _is_tar(path):
        limited = _Budgeted(cast(IO[bytes], gzip.GzipFile(fileobj=file)), max_bytes)
        members = _Tar(tarfile.TarFile(fileobj=cast(IO[bytes], limited)))
        limited.budget = None
        return members
    return None


def _zip(limited: _Budgeted) -> Members | None:
    """None also for a zip that cannot be listed: it may be a large or damaged skops file; the inspection judges it."""
    try:
        archive = zipfile.ZipFile(cast(IO[bytes], limited))
    except (TooMuchToList, *_DAMAGED):
        return None
    limited.budget = None
    return None if _is_skops(archive) else _Zip(archive)


def _is_skops(archive: zipfile.ZipFile) -> bool:
    names = archive.NameToInfo
    return skops_load.SCHEMA in names and not any(PurePosixPath(name).name == MLMODEL for name in names)


def _is_tar(path: Path) -> bool:
    """Whether a gzip file begins with a header of tar, which has a checksum, instead of with a pickle."""
    try:
        with gzip.open(path) as file:
            tarfile.TarInfo.frombuf(file.read(_TAR_BLOCK_BYTES), "utf-8", "surrogateescape")
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError):
        return False
    return True


def _add(files: dict[str, Any], name: str, info: Any) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or path.parts[:1] in [(".",), ()]:
        raise UnusableBundle(f"The archive holds the name {listed([name])}, which leads out of it.", OF_A_STRANGER)
    # What macOS adds to archives.
    if path.parts[0] == "__MACOSX" or path.name.startswith("._") or path.name == ".DS_Store":
        return
    if len(files) >= _MOST_FILES:
        raise TooMuchToList
    if str(path) in files:
        raise UnusableBundle(f"The archive holds {listed([str(path)])} more than once.", OF_A_STRANGER)
    files[str(path)] = info


def _not_a_file(name: str) -> UnusableBundle:
    return UnusableBundle(
        f"The archive holds {listed([name])}, which is a link or a device instead of a file.",
        "Pack the files themselves: tar --dereference, or zip without -y.",
    )
