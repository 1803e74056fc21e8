"""Items that come while one group is written form the next group. Pure: knows threads, but no database.

A caller that finds no write running writes at once, in its own thread; the first of those that come meanwhile writes
the next group for all of them. So a lone caller waits for no other thread, and under load many rows share a
transaction.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from predictions.batching.shared_errors import copy_of

Item = TypeVar("Item")


@dataclass(eq=False)
class _Share(Generic[Item]):
    """What one caller adds. Woken either because it is written, or to write for all who have gathered."""

    items: Sequence[Item]
    woken: threading.Lock = field(default_factory=threading.Lock)
    is_written: bool = False
    error: BaseException | None = None

    def __post_init__(self) -> None:
        self.woken.acquire()


class GroupCommit(Generic[Item]):
    """`write` stores a group, all or nothing; what it raises is raised to every caller of the group.

    Each thread raises an exception of its own: the one that wrote the original, the others a copy.
    """

    def __init__(self, write: Callable[[Sequence[Item]], None], *, most_items: int) -> None:
        self._write, self._most_items = write, most_items
        self._gathered: list[_Share[Item]] = []
        self._is_writing = False
        self._lock = threading.Lock()

    def add(self, items: Sequence[Item]) -> None:
        """Returns when `items` are written. Raises what `write` raised."""
        share = _Share(items)
        with self._lock:
            self._gathered.append(share)
            must_wait, self._is_writing = self._is_writing, True
        if must_wait:
            share.woken.acquire()
        if not share.is_written and share.error is None:
            self._write_group()
        if share.error is not None:
            raise copy_of(share.error) from share.error

    def _write_group(self) -> None:
        """Write what has gathered; the caller's own share is the first."""
        with self._lock:
            group = self._take()
        error: BaseException | None = None
        try:
            self._write([item for share in group for item in share.items])
        except BaseException as raised:
            error = raised
            raise
        finally:
            with self._lock:
                successor = self._gathered[0] if self._gathered else None
                self._is_writing = successor is not None
            for share in group:
                share.is_written, share.error = error is None, error
            if successor is not None:
                successor.woken.release()
            for share in group[1:]:
                share.woken.release()

    def _take(self) -> list[_Share[Item]]:
        taken, count = [self._gathered.pop(0)], 0
        while self._gathered:
            count += len(taken[-1].items)
            if count + len(self._gathered[0].items) > self._most_items:
                break
            taken.append(self._gathered.pop(0))
        return taken
