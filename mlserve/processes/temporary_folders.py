"""Folders for what a process needs for a moment; those of killed processes are deleted by the next ones.

A folder belongs to the process that holds the lock on it (flock's, which ends with the process, however that ends).
"""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# Nothing else makes names of this form, and the releases before had others, whose folders have no locks.
_PREFIX = "mlserve-held-"
# A folder that was made a moment ago may not have its lock yet.
_YOUNG_SECONDS = 60


@contextmanager
def temporary_folder(kind: str) -> Iterator[Path]:
    """A folder `mlserve-held-{kind}-…`, only for this user, that is deleted when the block ends.

    When the process is killed in it, the next call by any process of the user or `delete_abandoned` deletes it.
    """
    delete_abandoned()
    with tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{kind}-", ignore_cleanup_errors=True) as folder:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield Path(folder)
        finally:
            os.close(lock)


def delete_abandoned() -> int:
    """Delete the folders of this user's processes that were killed; how many."""
    with os.scandir(tempfile.gettempdir()) as entries:
        paths = [entry.path for entry in entries if entry.name.startswith(_PREFIX)]
    return sum(map(_delete_if_abandoned, paths))


def _delete_if_abandoned(path: str) -> bool:
    try:
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:  # another user's, no folder, or deleted meanwhile
        return False
    try:
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found = os.fstat(lock)
            if found.st_uid == os.getuid() and time.time() - found.st_ctime > _YOUNG_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
                return not os.path.lexists(path)
        return False
    finally:
        os.close(lock)
