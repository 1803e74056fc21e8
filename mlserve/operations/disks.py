"""Whether the disks take what the service writes: tried, because a full one answers every question but that."""

import math
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from django.conf import settings
from django.core.files.storage import FileSystemStorage, storages
from django.db import connection

from mlserve.errors import Unavailable

# Some pages of a database and its log. A disk with less room than that is full in a moment.
_BYTES = 64 * 2**10
# How long a disk that took it is not tried again, so that frequent probes do not wear it.
_KEPT_SECONDS = 10.0


class DiskTrial:
    """Writes a little into each folder that the service writes to, and waits until the disk has it."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._good_until = -math.inf

    def __call__(self) -> None:
        """Raises Unavailable with the parts that cannot be written. Costs a sync of each at most every ten seconds."""
        if self._clock() < self._good_until:
            return
        found = {what: _refusal(folder) for what, folder in _folders().items()}
        if refused := [f"{what} ({reason})" for what, reason in found.items() if reason]:
            raise Unavailable(f"cannot be written: {', '.join(refused)}; make room on the disk or mend its rights")
        self._good_until = self._clock() + _KEPT_SECONDS


def _folders() -> Mapping[str, Path]:
    """What may be on different disks."""
    folders = {"cache": settings.MLSERVE_CACHE_DIR, "temporary files": Path(tempfile.gettempdir())}
    if isinstance(storage := storages["artifacts"], FileSystemStorage):
        folders["artifacts"] = Path(storage.location)
    if connection.vendor == "sqlite":
        folders["database"] = Path(connection.settings_dict["NAME"]).parent
    return folders


def _refusal(folder: Path) -> str:
    """'' where data can be written. A folder that is not there yet will be made in one that is."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        # It has no name there, so that a process that is killed meanwhile leaves nothing.
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            # A disk that is nearly full takes a part of it, and refuses the next write.
            for _ in range(0, _BYTES, 4096):
                file.write(bytes(4096))
            os.fsync(file.fileno())
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""
