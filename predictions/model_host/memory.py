"""What the kernel says of processes and their memory; Linux. Pure."""

from pathlib import Path

_COUNTERS = ("/sys/fs/cgroup/memory.events", "/proc/vmstat")


def private_bytes(pid: int, parent: int) -> int:
    """What would be free again if the process, a fork of `parent`, ended; 0 where that is not known.

    Only root may see which pages a process in the sandbox shares. Else it is by how much it is larger than its parent;
    what it has of its parent's pages and has written to is missing then, some ten megabytes.
    """
    private = _kilobytes(f"/proc/{pid}/smaps_rollup", ("Private_Clean:", "Private_Dirty:"))
    if private:
        return sum(private) * 1024
    return max(_resident_bytes(pid) - _resident_bytes(parent), 0)


def _resident_bytes(pid: int) -> int:
    return sum(_kilobytes(f"/proc/{pid}/status", ("VmRSS:",))) * 1024


def times_out_of_memory() -> int:
    """How often the kernel has ended a process for want of memory: in this container, else on this machine."""
    for path in _COUNTERS:
        if counts := _kilobytes(path, ("oom_kill",)):
            return counts[0]
    return 0


def _kilobytes(path: str, names: tuple[str, ...]) -> list[int]:
    """The numbers of the named lines of a file of the kernel's."""
    try:
        lines = Path(path).read_text("ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    words = (line.split() for line in lines)
    return [int(each[1]) for each in words if len(each) > 1 and each[0] in names and each[1].isdecimal()]
