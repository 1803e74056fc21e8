"""Lines of the log that repeat for as long as something is broken: each is written once in ten minutes.

Forked processes inherit what was written: what the supervisor has said of the database, no process of it says again.
"""

import logging
import time
from collections.abc import Callable

_SECONDS = 600.0
_MOST_KNOWN = 100
_until: dict[str, float] = {}


def log_again(
    log: logging.Logger, level: int, line: str, *, about: str = "", clock: Callable[[], float] = time.monotonic
) -> None:
    """Log `line`, unless this line, or one `about` the same, was logged within the last ten minutes."""
    now, key = clock(), about or line
    if _until.get(key, now) > now:
        return
    if len(_until) >= _MOST_KNOWN:
        _until.clear()
    _until[key] = now + _SECONDS
    log.log(level, "%s", line)


def forget_all() -> None:
    _until.clear()
