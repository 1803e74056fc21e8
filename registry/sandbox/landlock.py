"""Which files a sandboxed process may read, by Linux's Landlock (linux/landlock.h, since 5.13). Pure."""

import ctypes
import os
import struct
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

READ, LIST = 1 << 2, 1 << 3
_RULE_BENEATH_PATH = 1
_VERSION_ONLY = 1
_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446  # the same numbers on every architecture

# The rights that can be restricted, by the version that introduced them: execute, write, read, list, remove,
# create …; move between folders (2), truncate (3), ioctl of devices (5).
_FILES = {1: (1 << 13) - 1, 2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
_NETWORK_SINCE, _BIND_AND_CONNECT = 4, 0b11
_SCOPES_SINCE, _NO_ABSTRACT_SOCKETS_NO_SIGNALS = 6, 0b11


def version() -> int:
    """The version of the kernel's Landlock; 0 where there is none, or it is disabled."""
    if sys.platform != "linux":
        return 0
    return max(0, _call(_CREATE, ctypes.c_void_p(None), 0, _VERSION_ONLY))


def refuse_files(readable: Iterable[tuple[Path, int]]) -> bool:
    """Let this thread, and those that it starts, access only the paths of `readable` and what is below them, with READ
    and LIST as given; nothing can be written, created or removed. False where that is not possible. Needs no_new_privs.
    """
    kernel = version()
    if not kernel:
        return False
    files = sum(rights for since, rights in _FILES.items() if since <= kernel)
    network = _BIND_AND_CONNECT if kernel >= _NETWORK_SINCE else 0
    scopes = _NO_ABSTRACT_SOCKETS_NO_SIGNALS if kernel >= _SCOPES_SINCE else 0
    known = 24 if scopes else 16 if network else 8  # an older kernel refuses a longer struct
    rules = _call(_CREATE, struct.pack("QQQ", files, network, scopes)[:known], known, 0)
    if rules < 0:
        return False
    try:
        for path, rights in readable:
            _allow(rules, path, rights)
        return _call(_RESTRICT, rules, 0) == 0
    finally:
        os.close(rules)


def _allow(rules: int, path: Path, rights: int) -> None:
    """A path that does not exist, or that this process may not open, needs no rule."""
    try:
        beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not path.is_dir():
            rights &= READ
        _call(_ADD_RULE, rules, _RULE_BENEATH_PATH, struct.pack("=Qi", rights, beneath), 0)
    finally:
        os.close(beneath)


@cache
def _libc() -> ctypes.CDLL:
    """Kept, because opening it takes ten times as long as a call."""
    return ctypes.CDLL(None, use_errno=True)


def _call(number: int, *arguments: object) -> int:
    given = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    return int(_libc().syscall(ctypes.c_long(number), *given))
