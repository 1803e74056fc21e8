"""Whether a package's libraries run on Lambda's Linux: their wheels say for which system each was made. Pure.

A wheel's tags (PEP 425, PEP 600) name the oldest glibc that it runs with; pip picks wheels for the machine that builds,
whose glibc is usually newer than Lambda's.
"""

import re
from collections.abc import Iterable

# Amazon Linux 2 up to Python 3.11, Amazon Linux 2023 from then on.
_OLD_GLIBC, _GLIBC = (2, 26), (2, 34)
_LAST_PYTHON_ON_OLD = (3, 11)
_LEGACY = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}

Version = tuple[int, int]


def glibc_of_lambda(python: Version) -> Version:
    return _OLD_GLIBC if python <= _LAST_PYTHON_ON_OLD else _GLIBC


def problem_of(library: str, wheel: str, python: Version) -> str:
    """Why the library does not run on Lambda with this Python, or "". `wheel` is the text of its WHEEL file."""
    tags = re.findall(r"^Tag:\s*(\S+)$", wheel, re.MULTILINE)
    if not tags or any(tag.endswith("-any") for tag in tags):
        return ""
    needed = [version for version in map(_glibc_needed, tags) if version]
    if not needed:
        return (
            f"{library} is for {tags[0].rpartition('-')[2]}; Lambda runs Linux: build on Linux, or use the Dockerfile"
        )
    if min(needed) > (there := glibc_of_lambda(python)):
        return (
            f"{library} needs glibc {_text(min(needed))}, Lambda's Python {_text(python)} has {_text(there)}: "
            "make PYTHON=python3.13 package"
        )
    return ""


def _glibc_needed(tag: str) -> Version | None:
    platform = tag.rpartition("-")[2]
    if found := re.match(r"manylinux_(\d+)_(\d+)_", platform):
        return int(found[1]), int(found[2])
    return next((version for name, version in _LEGACY.items() if platform.startswith(f"{name}_")), None)


def _text(version: Iterable[int]) -> str:
    return ".".join(map(str, version))
