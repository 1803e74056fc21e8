"""The one door through which bytes become a Python object: every `load` of an artifact is here. Pure.

pickle and joblib run code of the file's choosing, so only the inspection's child process and the process that
predicts come here. Each format is one row of `FORMATS`.
"""

import gzip
import importlib.metadata
import lzma
import pickle
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import joblib

_HEAD_BYTES = 64
_DAMAGED = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, pickle.UnpicklingError)


class CannotLoad(Exception):
    """An artifact that does not become an object; the message says why, `fix` what to do."""

    def __init__(self, detail: str, fix: str) -> None:
        super().__init__(detail)
        self.detail, self.fix = detail, fix


@dataclass(frozen=True)
class Format:
    """How a kind of file begins. `load` is None for formats that are known, but not accepted."""

    name: str
    begins: Callable[[bytes], bool]
    fix: str = ""


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


def _is_zlib(head: bytes) -> bool:
    return len(head) > 1 and head[0] == 0x78 and (head[0] * 256 + head[1]) % 31 == 0


# The order matters only where prefixes overlap. Uncompressed joblib files are pickles with arrays in between.
FORMATS: tuple[Format, ...] = (
    Format("pickle", _magic(*(bytes((0x80, protocol)) for protocol in range(2, 6)))),
    Format("joblib-gzip", _magic(b"\x1f\x8b")),
    Format("joblib-bz2", _magic(b"BZh")),
    Format("joblib-xz", _magic(b"\xfd7zXZ\x00")),
    Format("joblib-lzma", _magic(b"]\x00\x00")),
    Format("joblib-zlib", _is_zlib),
)
_NOT_ACCEPTED: tuple[Format, ...] = (
    Format("a zip archive (skops, Keras or PyTorch?)", _magic(b"PK\x03\x04")),
    Format("HDF5 (a Keras model?)", _magic(b"\x89HDF")),
    Format("joblib's lz4 compression", _magic(b"\x04\x22\x4d\x18")),
    Format("a Python source file or other text", lambda head: head.isascii() and head[:1].isalpha()),
)
_HOW_TO_SAVE = (
    "Save the fitted pipeline with joblib.dump(pipeline, 'model.joblib') or pickle.dump and upload that file."
)


def recognize(path: Path) -> str:
    """The name of the file's format by its first bytes. Raises CannotLoad."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        raise CannotLoad("The file is empty.", _HOW_TO_SAVE)
    for known in FORMATS:
        if known.begins(head):
            return known.name
    looks_like = next((f"; it looks like {kind.name}" for kind in _NOT_ACCEPTED if kind.begins(head)), "")
    raise CannotLoad(f"The file is not a pickle or joblib file{looks_like}.", _HOW_TO_SAVE)


def load(path: Path) -> Loaded:
    """Unpickle the artifact: runs code from the file. Raises CannotLoad; memory is about twice the file's size."""
    from sklearn.exceptions import InconsistentVersionWarning

    name = recognize(path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loaded = _unpickle(path)
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


def _unpickle(path: Path) -> Any:
    try:
        return joblib.load(path)
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
        raise CannotLoad(
            f"The file is truncated or damaged ({type(error).__name__}: {error}).",
            "Compare its size with the original and upload it again.",
        ) from error
    except MemoryError as error:
        raise CannotLoad("Loading the artifact needs more memory than is allowed.", _MORE_MEMORY) from error
    except Exception as error:  # unpickling runs code of the file, which may raise anything
        raise CannotLoad(
            f"The file cannot be loaded ({type(error).__name__}: {error}).",
            f"Check that it loads with joblib.load in a fresh Python with scikit-learn "
            f"{importlib.metadata.version('scikit-learn')}.",
        ) from error


_MORE_MEMORY = "Make the model smaller, or raise MLSERVE_INSPECTION_BYTES."


def _missing_name(error: AttributeError) -> str:
    if "__main__" in str(error):
        return (
            "A class or function was defined in the training script or notebook itself. "
            "Move it into a module that is installed where mlserve runs, train again and upload."
        )
    return "Train with the versions that are installed here, or install the training versions here."
