"""Standard streams that are closed: by `>&-`, by a service manager, or by `| head` once it has read enough."""

import os
import sys

_LAST_STANDARD_DESCRIPTOR = 2


def open_standard_streams() -> None:
    """Let streams that this process was started without be those of /dev/null.

    Otherwise the next files that are opened, such as a database's, would be where other code writes what it prints.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _LAST_STANDARD_DESCRIPTOR:
        pass
    os.close(descriptor)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8")  # noqa: SIM115 - it is for the whole process
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8")  # noqa: SIM115


def leave_stdout() -> None:
    """For a reader that has gone. Python flushes once more at its end, which must not fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
