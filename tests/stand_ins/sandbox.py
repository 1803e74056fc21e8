"""How a function's process is shut in: by namespaces of Linux where this user may make them."""

import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_SCRIPT = Path(__file__).with_name("sandbox.sh")
_NAMESPACES = ("--mount", "--pid", "--fork", "--kill-child")
# Root, or a user who may be root in a namespace of their own.
_WAYS = (("unshare", *_NAMESPACES), ("unshare", "--user", "--map-root-user", *_NAMESPACES))


@dataclass(frozen=True)
class Sandbox:
    """A command for a process, and where it finds its package and Lambda's libraries."""

    command: list[str]
    task_root: str
    runtime_folder: str


def shut_in(command: list[str], *, task: Path, runtime: Path, tmp_mib: int) -> Sandbox:
    """The command in a sandbox. Where none can be made it runs beside everything else, in the package's folder."""
    if not (way := namespaces()):
        return Sandbox(command, str(task), str(runtime))
    script = ["bash", str(_SCRIPT), str(task), str(runtime), str(tmp_mib)]
    return Sandbox([*way, *script, *command], "/var/task", "/var/runtime")


@cache
def namespaces() -> tuple[str, ...]:
    """The beginning of a command that gets namespaces of its own; empty where this user may not make any."""
    return next((way for way in _WAYS if _works(way)), ())


def _works(way: tuple[str, ...]) -> bool:
    if shutil.which(way[0]) is None:
        return False
    probe = "mount -t tmpfs tmpfs /mnt && mount -t proc proc /proc && mount --bind / / && mount -o remount,ro,bind /"
    return subprocess.run([*way, "sh", "-c", probe], check=False, capture_output=True, timeout=30).returncode == 0
