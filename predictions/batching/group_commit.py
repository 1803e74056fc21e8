"""Items that come while others are written form the next group. Pure: knows threads, but no database.

A caller who may write does so at once, in its own thread; the first of those that come meanwhile writes the next group
for all of them. So a lone caller waits for no other thread, and under load many rows share a transaction.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from predictions.batching.shared_errors import copy_of

Item = TypeVar("Item")


@dataclass(eq=False)
class _Share(Generic[Item]):
    """What one caller adds. Woken either because it is written, or to write its group."""

    items: Sequence[Item]
    woken: threading.Lock = field(default_factory=threading.Lock)
    # Those whose items this caller writes, itself first.
    group: "list[_Share[Item]]" = field(default_factory=list)
    error: BaseException | None = None

    def __post_init__(self) -> None:
        self.woken.acquire()


class GroupCommit(Generic[Item]):
    """`write` stores a group, all or nothing; what it raises is raised to every caller of the group.

    Each thread raises an exception of its own: the one that wrote the original, the others a copy.
    """

    def __init__(self, write: Callable[[Sequence[Item]], None], *, most_items: int, most_writers: int = 1) -> None:
        """`most_writers` groups are written at the same time."""
        self._write, self._most_items, self._most_writers = write, most_items, most_writers
        self._gathered: list[_Share[Item]] = []
        self._writers = 0
        self._lock = threading.Lock()

    def add(self, items: Sequence[Item]) -> None:
        """Returns when `items` are written. Raises what `write` raised."""
        share = _Share(items)
        with self._lock:
            must_wait = self._writers >= self._most_writers
            if must_wait:
                self._gathered.append(share)
            else:
                self._writers += 1
                share.group = [share]
        if must_wait:
            share.woken.acquire()
        if share.group:
            self._write_group(share.group)
        if share.error is not None:
            raise copy_of(share.error) from share.error

    def _write_group(self, group: list[_Share[Item]]) -> None:
        error: BaseException | None = None
        try:
            self._write([item for share in group for item in share.items])
        except BaseException as raised:
            error = raised
            raise
        finally:
            with self._lock:
                following = self._take()
                if following:
                    following[0].group = following
                else:
                    self._writers -= 1
            if following:
                following[0].woken.release()
            for share in group[1:]:
                share.error = error
                share.woken.release()

    def _take(self) -> list[_Share[Item]]:
        """Those who have gathered, as far as their items fit into one group. Holds the lock."""
        taken: list[_Share[Item]] = []
        count = 0
        while self._gathered and (not taken or count + len(self._gathered[0].items) <= self._most_items):
            taken.append(self._gathered.pop(0))
            count += len(taken[-1].items)
        return taken
