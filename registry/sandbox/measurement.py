"""Which parts of the sandbox hold on this system: measured by a process that enters it and tries. Pure.

A kernel may have what a container or a setting takes away, so it is not asked but tried.
"""

import json
import logging
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from registry.sandbox.sandbox import FILES, LIMITS, PARTS, SYSTEM_CALLS, Sandbox, enter

log = logging.getLogger(__name__)

# What a model's code could do without each part, as the end of "A model's code could …".
REACHED_WITHOUT: Mapping[str, str] = {
    LIMITS: "use all of the machine's memory and processor",
    SYSTEM_CALLS: "connect to the network, start and signal processes, and write what the service's user may",
    FILES: "read every file that the service's user can, such as the database and keys",
}
WHAT_TO_DO = (
    "Run on Linux 5.13 or later, x86-64 or aarch64, with Landlock and seccomp (a container's own profile must let both "
    "be used), or let only those upload whom you would let run code here: SECURITY.md has a table"
)
_MEMORY_BYTES = 2**32
_LONGEST_SECONDS = 20
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH")


@cache
def parts_in_force() -> tuple[str, ...]:
    """Those of PARTS that hold here; none where the measurement itself failed, which is logged.

    Takes a tenth of a second at the first call, which is remembered, also by processes that are forked afterwards.
    """
    root = Path(__file__).resolve().parents[2]
    environment = {"PYTHONPATH": str(root), **{name: os.environ[name] for name in _PASSED_ON if name in os.environ}}
    try:
        done = subprocess.run(
            [sys.executable, "-S", "-m", "registry.sandbox.measurement"], env=environment, capture_output=True,
            stdin=subprocess.DEVNULL, timeout=_LONGEST_SECONDS, check=True,
        )  # fmt: skip
        held = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        log.error("The sandbox could not be measured: %s", error)  # noqa: TRY400
        return ()
    return tuple(part for part in PARTS if part in held)


def missing_parts() -> tuple[str, ...]:
    return tuple(part for part in PARTS if part not in parts_in_force())


def _measured() -> Iterator[str]:
    """Enters the sandbox: for a process of its own."""
    held = enter(Sandbox(_MEMORY_BYTES, 10))
    if LIMITS in held and resource.getrlimit(resource.RLIMIT_CPU)[0] <= 10 and not _can_take_memory():
        yield LIMITS
    if SYSTEM_CALLS in held and not _can_open_sockets():
        yield SYSTEM_CALLS
    if FILES in held and not _can_read(Path(sys.executable)):
        yield FILES


def _can_take_memory() -> bool:
    if sys.platform != "linux":  # other systems bound CPU time and files only
        return False
    try:
        return bool(bytearray(2 * _MEMORY_BYTES))
    except MemoryError:
        return False


def _can_open_sockets() -> bool:
    try:
        socket.socket().close()
    except PermissionError:
        return False
    return True


def _can_read(path: Path) -> bool:
    """The interpreter itself is outside of Python's libraries, and no part of what may be read."""
    try:
        path.open("rb").close()
    except PermissionError:
        return False
    return True


if __name__ == "__main__":
    print(json.dumps(list(_measured())))
