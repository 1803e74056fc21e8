"""Load an artifact. No other module unpickles. Pure.

A pickle is a program. `read_names` lists what it would import, without importing anything, `refused` those of the
names that are not trusted, and `load` loads the file with an unpickler that checks each name against the same list.
Only the inspection reads the names first; the processes that predict need not, since an admitted artifact is known by
its digest and loading enforces the list by itself. Each format is one row of `FORMATS`.
"""

import importlib.metadata
import pickle
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from registry.formats import compression, pickle_scan, skops_load
from registry.formats.errors import HOW_TO_SAVE, OF_A_NOTEBOOK, CannotLoad, NotTrusted, Refused
from registry.formats.refusals import Refusal, how_to_fix, refused
from registry.formats.trust import Contents, Reference, Trust

__all__ = [
    "CannotLoad", "Contents", "Loaded", "NotTrusted", "Refusal", "Refused", "VersionMismatch",
    "how_to_fix", "load", "read_contents", "read_names", "recognize", "refused",
]  # fmt: skip

_HEAD_BYTES = 256
_DAMAGED = (*compression.DAMAGED, pickle.UnpicklingError)
# As MLSERVE_INSPECTION_BYTES.
_MAX_BYTES = 8 * 2**30


@dataclass(frozen=True)
class Format:
    """A kind of file, and the test for its first bytes."""

    name: str
    begins: Callable[[bytes], bool]


@dataclass(frozen=True)
class VersionMismatch:
    """One estimator that was pickled by another scikit-learn than the one that loads it."""

    estimator: str
    trained_with: str
    loaded_with: str


@dataclass(frozen=True)
class Loaded:
    pipeline: Any
    format: str
    mismatches: tuple[VersionMismatch, ...] = field(default=())


def _magic(*prefixes: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(prefixes)


# Protocols 0 and 1 have no magic number: the file of an object begins with the name of its class or function.
_OLD_PICKLE = re.compile(rb"\(?c[\w.]+\n[\w.]+\n", re.ASCII)


def _is_pickle(head: bytes) -> bool:
    return head.startswith(tuple(bytes((0x80, protocol)) for protocol in range(6))) or bool(_OLD_PICKLE.match(head))


def _is_zlib(head: bytes) -> bool:
    return len(head) > 1 and head[0] == 0x78 and (head[0] * 256 + head[1]) % 31 == 0


# A path, or an open file that can seek: a model process may open none.
Artifact = Path | IO[bytes]

# The order matters only where prefixes overlap. Uncompressed joblib files are pickles with arrays in between.
FORMATS: tuple[Format, ...] = (
    Format("pickle", _is_pickle),
    Format("joblib-gzip", _magic(b"\x1f\x8b")),
    Format("joblib-bz2", _magic(b"BZh")),
    Format("joblib-xz", _magic(b"\xfd7zXZ\x00")),
    Format("joblib-lzma", _magic(b"]\x00\x00")),
    Format("joblib-zlib", _is_zlib),
    Format(skops_load.NAME, _magic(b"PK\x03\x04")),
)
_NOT_ACCEPTED: tuple[Format, ...] = (
    Format("HDF5 (a Keras model?)", _magic(b"\x89HDF")),
    Format("an empty zip archive", _magic(b"PK\x05\x06")),
    Format("a joblib file from before 2014", _magic(b"ZF")),
    Format("joblib's lz4 compression", _magic(b"\x04\x22\x4d\x18")),
    Format("a Python source file or other text", lambda head: head.isascii() and head[:1].isalpha()),
)


def recognize(artifact: Artifact) -> str:
    """The name of the file's format by its first bytes. Raises CannotLoad."""
    with _opened(artifact) as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        raise CannotLoad("The file is empty.", HOW_TO_SAVE)
    for known in FORMATS:
        if known.begins(head):
            return known.name
    looks_like = next((f"; it looks like {kind.name}" for kind in _NOT_ACCEPTED if kind.begins(head)), "")
    raise CannotLoad(f"The file is not a skops, joblib or pickle file{looks_like}.", HOW_TO_SAVE)


@contextmanager
def _opened(artifact: Artifact) -> Iterator[IO[bytes]]:
    """The artifact's bytes from their begin."""
    if isinstance(artifact, Path):
        with artifact.open("rb") as file:
            yield file
    else:
        artifact.seek(0)
        yield artifact


def read_names(artifact: Artifact, *, max_bytes: int = _MAX_BYTES) -> tuple[Reference, ...]:
    """What loading the file would import and call, as `read_contents` finds it."""
    return read_contents(artifact, max_bytes=max_bytes).names


def read_contents(artifact: Artifact, *, max_bytes: int = _MAX_BYTES) -> Contents:
    """What loading the file would import and call, and by which scikit-learn it was written, without loading it.

    Raises CannotLoad; Refused if it hides a name.

    Takes about as long as loading it; memory is small, for the bytes of arrays are skipped. At most `max_bytes` are
    unpacked.
    """
    name = recognize(artifact)
    try:
        with _opened(artifact) as file:
            if name == skops_load.NAME:
                return skops_load.read(file, max_bytes=max_bytes)
            return pickle_scan.read(compression.unpacked(file, name, max_bytes=max_bytes))
    except CannotLoad:
        raise
    except MemoryError as error:
        raise CannotLoad("Reading the artifact needs more memory than is allowed.", _MORE_MEMORY) from error
    except Exception as error:  # for damaged bytes, decompressors and parsers raise any exception
        raise _damaged(error) from error


def load(artifact: Artifact, *, trusted: Iterable[str] = (), max_bytes: int = _MAX_BYTES) -> Loaded:
    """Load the artifact with what is trusted. Raises CannotLoad, and Refused before it would import anything else.

    `trusted`: MLSERVE_TRUSTED_MODULES. Memory is about twice the file's size; at most `max_bytes` are unpacked.
    """
    from sklearn.exceptions import InconsistentVersionWarning

    name = recognize(artifact)
    with warnings.catch_warnings(record=True) as caught, _opened(artifact) as file:
        warnings.simplefilter("always")
        loaded = _load(file, name, Trust.of(trusted), max_bytes)
    mismatches = {
        VersionMismatch(
            warning.message.estimator_name,
            warning.message.original_sklearn_version,
            warning.message.current_sklearn_version,
        )
        for warning in caught
        if isinstance(warning.message, InconsistentVersionWarning)
    }
    return Loaded(loaded, name, tuple(sorted(mismatches, key=lambda each: each.estimator)))


def _load(file: IO[bytes], name: str, trust: Trust, max_bytes: int) -> Any:
    try:
        # Imported here, because recognizing a format needs neither numpy nor joblib.
        from registry.formats.numpy_interfaces import block_special_attributes
        from registry.formats.object_scan import require_harmless

        block_special_attributes()
        loaded = _load_object(file, name, trust, max_bytes)
        require_harmless(loaded)
        return loaded
    except CannotLoad:
        raise
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        raise CannotLoad(
            f"The artifact needs the Python module {error.name!r}, which is not installed here.",
            f"Install {module!r} where mlserve runs, or train without it.",
        ) from error
    except AttributeError as error:
        raise CannotLoad(
            f"The artifact refers to something that is not here: {error}.", _missing_name(error)
        ) from error
    except _DAMAGED as error:
        raise _damaged(error) from error
    except MemoryError as error:
        raise CannotLoad("Loading the artifact needs more memory than is allowed.", _MORE_MEMORY) from error
    except Exception as error:  # unpickling runs code of the file, which may raise anything
        raise CannotLoad(
            f"The file cannot be loaded ({type(error).__name__}: {error}).",
            f"Check that it loads in a fresh Python with scikit-learn {importlib.metadata.version('scikit-learn')}"
            + (", or save with joblib.dump." if name == skops_load.NAME else "."),
        ) from error


def _load_object(file: IO[bytes], name: str, trust: Trust, max_bytes: int) -> Any:
    if name == skops_load.NAME:
        return skops_load.load(file, trust, max_bytes=max_bytes)
    from registry.formats.pickle_load import unpickled

    return unpickled(compression.unpacked(file, name, max_bytes=max_bytes), trust)


def _damaged(error: Exception) -> CannotLoad:
    return CannotLoad(
        f"The file is truncated or damaged ({type(error).__name__}: {error}).",
        "Compare its size with the original and upload it again.",
    )


_MORE_MEMORY = "Make the model smaller, or raise MLSERVE_INSPECTION_BYTES."


def _missing_name(error: AttributeError) -> str:
    if "__main__" in str(error):
        return OF_A_NOTEBOOK
    return "Train with the versions that are installed here, or install the training versions here."
