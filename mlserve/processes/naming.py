"""The name of this process in `ps -o comm`, `top` and `pgrep`."""

import contextlib
from pathlib import Path

_LONGEST = 15


def name_this_process(name: str) -> None:
    """Linux only; the command line stays that of the parent."""
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(f"mlserve {name}"[:_LONGEST])
