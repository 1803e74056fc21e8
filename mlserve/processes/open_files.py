"""Files that this process has open under names that mean other files by now, or none."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_OPEN_FILES = Path("/proc/self/fd")
# How Linux writes the name of a file that was deleted, or replaced by another one.
_DELETED = " (deleted)"


def lost_database_files(database: Path) -> list[str]:
    """The names of an SQLite database's files that were deleted or replaced while this process has them open.

    What is written to them is lost, or other processes do not see it. [] where the system does not tell (Linux does).
    """
    path = str(database.resolve())
    lost = {f"{path}{suffix}{_DELETED}" for suffix in ("", "-wal", "-shm")}
    return sorted(Path(name.removesuffix(_DELETED)).name for name in lost.intersection(_names_of_open_files()))


def _names_of_open_files() -> Iterable[str]:
    with suppress(FileNotFoundError):  # no Linux
        for entry in os.scandir(_OPEN_FILES):
            with suppress(FileNotFoundError):  # closed meanwhile
                yield str(Path(entry.path).readlink())
