"""Python source → bytecode that a function really uses.

A function's disk is read-only, and the times of files in a zip are not those that usual `.pyc` files are checked
against: without bytecode that is never checked, each cold start compiles everything anew.
"""

import importlib.util
import marshal
import sys
import warnings
from pathlib import PurePosixPath

# Where Lambda unpacks a package: the paths in tracebacks.
TASK_ROOT = "/var/task"
# PEP 552: the file contains a hash of its source, which is not checked.
_UNCHECKED_HASH = (0b01).to_bytes(4, "little")


def compiled(source: bytes, name: str) -> bytes:
    """The content of a `.pyc` file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in libraries are not our errors
        code = compile(source, f"{TASK_ROOT}/{name}", "exec", dont_inherit=True, optimize=0)
    return importlib.util.MAGIC_NUMBER + _UNCHECKED_HASH + importlib.util.source_hash(source) + marshal.dumps(code)


def beside_source(name: str) -> str:
    """`a/b.py` → `a/__pycache__/b.cpython-313.pyc`, which is read instead of the source."""
    path = PurePosixPath(name)
    return str(path.parent / "__pycache__" / f"{path.stem}.{sys.implementation.cache_tag}.pyc")


def instead_of_source(name: str) -> str:
    """`a/b.py` → `a/b.pyc`, which is imported where there is no source."""
    return f"{name}c"
