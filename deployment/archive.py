"""The zip: the same bytes for the same content, on every machine and at any time."""

import sys
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from deployment import bytecode
from deployment.contents import PROJECT, Entry
from deployment.platforms import Version, problem_of

LIMIT_BYTES = 262_144_000
# The first moment that a zip can express.
_NO_TIME = (1980, 1, 1, 0, 0, 0)
_READABLE = 0o644 << 16
_UNIX = 3
_LEVEL = 6


class TooLarge(Exception):
    """Lambda would refuse the package."""


def write(path: Path, entries: Iterable[Entry]) -> None:
    """Writes the zip whole or not at all. Raises TooLarge. Cost: about half a minute for the real package."""
    total_bytes = 0
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as zipped:
            for entry in entries:
                for name, content in _stored(entry):
                    zipped.writestr(_described(name), content, zipfile.ZIP_DEFLATED, _LEVEL)
                    total_bytes += len(content)
        refuse_too_large(total_bytes)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def refuse_too_large(total_bytes: int) -> None:
    if total_bytes > LIMIT_BYTES:
        raise TooLarge(
            f"{total_bytes:,} bytes unzipped; Lambda takes {LIMIT_BYTES:,}. Leave a library out, or use the Dockerfile."
        )


def platform_problems(path: Path, python: Version = sys.version_info[:2]) -> list[str]:
    """Libraries in the package that do not run on Lambda's system with this Python, by default the running one."""
    with zipfile.ZipFile(path) as zipped:
        wheels = [name for name in zipped.namelist() if name.endswith(".dist-info/WHEEL")]
        found = [problem_of(name.partition("-")[0], zipped.read(name).decode(), python) for name in wheels]
    return [problem for problem in found if problem]


def unzipped_sizes(path: Path) -> dict[str, int]:
    with zipfile.ZipFile(path) as zipped:
        return {entry.filename: entry.file_size for entry in zipped.infolist()}


def _stored(entry: Entry) -> Iterator[tuple[str, bytes]]:
    """Modules of mlserve with their source, for tracebacks; libraries without, because the limit leaves no room."""
    content = entry.read()
    if not entry.name.endswith(".py"):
        yield entry.name, content
    elif entry.name.partition("/")[0] in PROJECT:
        yield entry.name, content
        yield bytecode.beside_source(entry.name), bytecode.compiled(content, entry.name)
    else:
        yield bytecode.instead_of_source(entry.name), bytecode.compiled(content, entry.name)


def _described(name: str) -> zipfile.ZipInfo:
    described = zipfile.ZipInfo(name, _NO_TIME)
    described.external_attr, described.create_system = _READABLE, _UNIX
    return described
