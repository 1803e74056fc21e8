"""The decompressed bytes of a pickle, up to a limit. Pure.

Scanning and loading both open a file here only, so that they get the same bytes.
"""

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Mapping
from typing import IO, Any, cast

from mlserve.units import size_text
from registry.formats.errors import CannotLoad

# What decompressing raises for damaged bytes.
DAMAGED = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)
_BUFFER_BYTES = 2**20
_BLOCK_BYTES = 2**16


class _Zlib(io.RawIOBase):
    """One zlib stream; bytes after its end are ignored. joblib writes these, Python has no file class for them."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._decompressor = file, zlib.decompressobj()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """At most as many bytes as fit into the buffer, even if the next block decompresses to more."""
        while not self._decompressor.eof:
            block = self._decompressor.unconsumed_tail or self._file.read(_BLOCK_BYTES)
            if not block:
                raise EOFError("the compressed bytes end too early")
            data = self._decompressor.decompress(block, len(buffer))
            if data:
                buffer[: len(data)] = data
                return len(data)
        return 0


class _Limited(io.RawIOBase):
    """Raises CannotLoad after `limit` bytes, because a few kilobytes can decompress to any number of gigabytes."""

    def __init__(self, file: IO[bytes], limit: int) -> None:
        self._file, self._limit, self._left = file, limit, limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        self._left -= len(data)
        if self._left < 0:
            raise CannotLoad(
                f"The file unpacks to more than {size_text(self._limit)}.",
                "Make the model smaller, or raise MLSERVE_INSPECTION_BYTES.",
            )
        buffer[: len(data)] = data
        return len(data)


def _lzma(file: IO[bytes], form: int) -> IO[bytes]:
    return cast(IO[bytes], lzma.LZMAFile(file, format=form))


# The format's name → how its bytes are decompressed. gzip, bz2 and xz may be several streams one after the other.
_UNPACKED: Mapping[str, Callable[[IO[bytes]], IO[bytes]]] = {
    "joblib-gzip": lambda file: cast(IO[bytes], gzip.GzipFile(fileobj=file)),
    "joblib-bz2": lambda file: cast(IO[bytes], bz2.BZ2File(file)),
    "joblib-xz": lambda file: _lzma(file, lzma.FORMAT_XZ),
    "joblib-lzma": lambda file: _lzma(file, lzma.FORMAT_ALONE),
    "joblib-zlib": lambda file: cast(IO[bytes], io.BufferedReader(_Zlib(file), _BUFFER_BYTES)),
}


def unpacked(file: IO[bytes], kind: str, *, max_bytes: int) -> IO[bytes]:
    """The pickle inside of a file of this format, from its begin. Reading raises CannotLoad beyond `max_bytes`, or one
    of DAMAGED.
    """
    file.seek(0)
    unpack = _UNPACKED.get(kind)
    return file if unpack is None else io.BufferedReader(_Limited(unpack(file), max_bytes), _BUFFER_BYTES)
