"""Memory and CPU time of a tree of processes, read from Linux's /proc."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_MOST_COMMAND_CHARACTERS = 50


@dataclass(frozen=True)
class Memory:
    """In megabytes (1e6 bytes). PSS counts a page that n processes share as 1/n in each, RSS as a whole one."""

    pss_mb: float
    rss_mb: float


def tree(pid: int) -> list[int]:
    """The process, its children, theirs and so on; without those that have ended."""
    children: dict[int, list[int]] = {}
    for each, fields in _stats():
        children.setdefault(int(fields[1]), []).append(each)
    found = [pid] if (_PROC / str(pid)).exists() else []
    for each in found:  # grows while it is read
        found += children.get(each, [])
    return found


def alive(pids: list[int]) -> list[int]:
    """The running processes; a zombie has ended."""
    return [pid for pid in pids if _stat(pid)[:1] not in ([], ["Z"])]


def _stats() -> Iterator[tuple[int, list[str]]]:
    """Each process with the fields of its `stat` from the state on (field 3 of proc_pid_stat(5))."""
    for folder in _PROC.iterdir():
        if folder.name.isdigit() and (fields := _stat(int(folder.name))):
            yield int(folder.name), fields


def _stat(pid: int) -> list[str]:
    """Empty when the process has ended. The name before the state may contain spaces and parentheses."""
    with contextlib.suppress(OSError):
        return (_PROC / str(pid) / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    return []


def cpu_seconds(pids: list[int]) -> dict[int, float]:
    """User and system time of each process so far."""
    stats = {pid: _stat(pid) for pid in pids}
    return {pid: (int(stat[11]) + int(stat[12])) / _TICKS_PER_SECOND for pid, stat in stats.items() if stat}


def command(pid: int) -> str:
    """The beginning of the command line, without the folders of programs and files."""
    with contextlib.suppress(OSError):
        words = (_PROC / str(pid) / "cmdline").read_text("utf-8", "replace").split("\0")
        return " ".join(Path(word).name for word in words).strip()[:_MOST_COMMAND_CHARACTERS]
    return ""


def memory(pids: list[int]) -> Memory:
    """The sums over the processes."""
    pss = rss = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in (_PROC / str(pid) / "smaps_rollup").read_text("ascii").splitlines():
                name, _, rest = line.partition(":")
                pss += int(rest.split()[0]) * 1024 if name == "Pss" else 0
                rss += int(rest.split()[0]) * 1024 if name == "Rss" else 0
    return Memory(pss / 1e6, rss / 1e6)
