"""Ends processes with the tests, however those end: a killed test process can do nothing any more."""

import contextlib
import subprocess

_SCRIPT = """
trap '' INT TERM HUP
groups=
while read -r group; do groups="$groups -$group"; done
test -z "$groups" || kill -KILL $groups 2>/dev/null
"""


class Keeper:
    """A shell that waits for the end of its standard input, then kills every process group that it was told of."""

    def __init__(self) -> None:
        self._shell = subprocess.Popen(["/bin/sh", "-c", _SCRIPT], stdin=subprocess.PIPE, start_new_session=True)

    def watch(self, group: int) -> None:
        assert self._shell.stdin is not None
        self._shell.stdin.write(f"{group}\n".encode())
        self._shell.stdin.flush()

    def release(self) -> None:
        """Kills what is left, and waits for that."""
        with contextlib.suppress(BrokenPipeError):
            self._shell.communicate()
