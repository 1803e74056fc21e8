"""Inspections that a request waits for: a few at a time on each host, ended when the server stops.

They need a limit because requests, unlike direct uploads, have no queue: the web server would run one in each thread.
"""

import fcntl
import time
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from django.conf import settings

from mlserve.errors import Overloaded, Unavailable
from mlserve.processes.stopping import seconds_since_stop
from registry.inspection.inspect import Inspected, inspect
from registry.inspection.version_request import VersionRequest

# Each may take MLSERVE_INSPECTION_BYTES of the host's memory, and one core.
MOST_AT_ONCE = 2
# Enough for the inspection of a usual model to end. A request that waits holds a thread of the web server.
_LONGEST_WAIT_SECONDS = 5.0
_RETRY_AFTER_SECONDS = 10


def inspect_in_request(artifact: Path, request: VersionRequest) -> Inspected:
    """`inspect` for a web thread. Raises Overloaded after some seconds without a slot.

    Once the server was asked to stop, it has as long as any other request (MLSERVE_MAX_WAIT), then its process is
    ended. Raises Unavailable for that, and where the host's slots cannot be used.
    """
    with ExitStack() as slots:
        _take_slot(slots)
        return inspect(artifact, request, on_look=_require_time_left)


def _take_slot(slots: ExitStack) -> None:
    """Lock one of the files that all processes of the host share; a process that dies loses its lock."""
    folder = Path(settings.MLSERVE_CACHE_DIR) / "inspections"
    deadline = time.monotonic() + _LONGEST_WAIT_SECONDS
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        files = [slots.enter_context((folder / str(number)).open("wb")) for number in range(MOST_AT_ONCE)]
        while not any(map(_is_locked, files)):
            if time.monotonic() > deadline:
                raise Overloaded(
                    f"{MOST_AT_ONCE} uploads are inspected already, as many as this host takes from requests. "
                    "Send it again later, or send it in parts (POST /api/uploads, `upload_model --to`), which waits "
                    "in a queue.",
                    retry_after_seconds=_RETRY_AFTER_SECONDS,
                )
            time.sleep(0.1)
    except OSError as error:
        raise Unavailable(f"{folder} (MLSERVE_CACHE_DIR) cannot be used: {error.strerror or error}.") from error


def _is_locked(file: IO[bytes]) -> bool:
    """Whether this process has locked it just now."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _require_time_left() -> None:
    if seconds_since_stop() > settings.MLSERVE_MAX_WAIT:
        raise Unavailable(
            "The server is stopping, and ended the inspection. Nothing was registered: send it again in a moment.",
            retry_after_seconds=_RETRY_AFTER_SECONDS,
        )
