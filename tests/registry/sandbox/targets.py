"""What there is to reach outside of a model's process, and calls that Python has no name for."""

import ctypes
import platform
from dataclasses import dataclass

MARK = "way-out"  # in the name of whatever they make


@dataclass(frozen=True)
class Targets:
    """What there is to reach. Plain values, so that they can be sent as JSON."""

    folder: str  # holds secret files, a database, a project on Python's path
    parent: int  # a process of this user that is mlserve's: it holds a secret in memory, a connection, sockets
    address: int  # of that secret
    group: int  # of processes, the parent's
    stranger: int  # a process of this user that was executed with a secret in its environment
    tcp_port: int
    udp_port: int
    unix_path: str
    abstract: str


def libc(name: str, *arguments: object) -> int:
    """A call of the C library that Python has no name for."""
    converted = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    result = int(getattr(ctypes.CDLL(None, use_errno=True), name)(*converted))
    if result == -1:
        raise OSError(ctypes.get_errno(), name)
    return result


def syscall(x86: int, arm: int, *arguments: object) -> int:
    return libc("syscall", x86 if platform.machine() == "x86_64" else arm, *arguments)
