"""Requests that come while a call runs form the next call. Pure: knows threads, but neither models nor databases.

A lone request is served at once, and under load the calls grow by themselves: a call begins when no request is on its
way to it any more, and waits for those at most as long as the last call took. One thread makes all calls of a process,
so that a request can stop waiting while its call goes on.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from predictions.batching.shared_errors import copy_of

Item = TypeVar("Item")


class Overfull(Exception):
    """More wait already than may wait."""


class CallEnded(Exception):
    """The call was left by something that is no error, such as SystemExit, which must not end the callers, too."""


@dataclass(eq=False)
class _Place(Generic[Item]):
    """One caller in the line. `woken` is released once, when there is something for the caller to do or to know."""

    item: Item
    key: Hashable
    weight: int
    woken: threading.Lock = field(default_factory=threading.Lock)
    is_counted: bool = False
    is_called: bool = False
    is_settling: bool = False
    has_left: bool = False
    to_settle: "list[_Place[Item]]" = field(default_factory=list)
    error: BaseException | None = None

    def __post_init__(self) -> None:
        self.woken.acquire()


class MicroBatcher(Generic[Item]):
    """`call` gets items of one key, in their order of arrival, in the one calling thread; it writes into the items.

    `settle` then gets those whose callers still wait, in the thread of one of these callers, while the next call may
    already run. Items with the key None are called alone.
    """

    def __init__(
        self,
        call: Callable[[Sequence[Item]], None],
        settle: Callable[[Sequence[Item]], None],
        *,
        most_waiting: int,
        most_weight: Callable[[Hashable], int],
    ) -> None:
        self._call, self._settle = call, settle
        self._most_waiting, self._most_weight = most_waiting, most_weight
        self._line: deque[_Place[Item]] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._called_at: float | None = None
        self._last_call_seconds = 0.0
        self._on_the_way = 0
        self._this_thread = threading.local()

    @contextmanager
    def approach(self) -> Iterator[None]:
        """The whole life of a request that may `submit`: a call waits for those who will join it in a moment.

        It costs less than it seems: all threads share one interpreter, so what begins early slows down what is late.
        """
        self._this_thread.is_counted = True
        with self._changed:
            self._step(+1)
        try:
            yield
        finally:
            self.turn_away()

    def turn_away(self) -> None:
        """The request of this thread goes another way: no call waits for it any more."""
        if getattr(self._this_thread, "is_counted", False):
            self._this_thread.is_counted = False
            with self._changed:
                self._step(-1)

    def submit(self, item: Item, *, key: Hashable, weight: int, timeout_seconds: float) -> bool:
        """Wait until `item` was called and settled. False when the time ran out first: then it never is settled.

        Raises Overfull, CallEnded, or what `call` or `settle` raised, as an exception of its own in each thread.
        """
        place = _Place(item, key, weight)
        with self._changed:
            if len(self._line) >= self._most_waiting:
                raise Overfull(f"{len(self._line)} requests wait for the model already")
            self._line.append(place)
            self._ensure_thread()
            if len(self._line) == 1:
                self._changed.notify()  # it sleeps; while others are in line, it waits for those on the way
            place.is_counted = getattr(self._this_thread, "is_counted", False)
            self._step(-int(place.is_counted))
        if not place.woken.acquire(timeout=timeout_seconds) and self._leave(place):
            return False
        if place.has_left:
            return False
        if place.to_settle:
            self._settle_for_all(place.to_settle)
        if place.error is not None:
            raise copy_of(place.error) from place.error
        return True

    def seconds_in_call(self) -> float:
        """For how long the present call has run; 0 when none does."""
        called_at = self._called_at
        return 0.0 if called_at is None else time.monotonic() - called_at

    def send_away(self) -> int:
        """All in line stop waiting, as if their time had run out; how many there were. The call goes on."""
        with self._changed:
            places = list(self._line)
            self._line.clear()
            for place in places:
                place.has_left = True
                self._step(+int(place.is_counted))
                place.woken.release()
        return len(places)

    def _leave(self, place: _Place[Item]) -> bool:
        """Stop waiting; False when it is being settled already, and then the end is moments away."""
        with self._changed:
            if place.has_left:
                return True
            if not place.is_settling:
                place.has_left = True
                self._step(+int(place.is_counted))
                if not place.is_called:
                    self._line.remove(place)
                return True
        place.woken.acquire()
        return False

    def _settle_for_all(self, places: "list[_Place[Item]]") -> None:
        first, others = places[0], places[1:]
        try:
            self._settle([place.item for place in places])
        except BaseException as error:
            for place in others:
                place.error = error
            raise
        finally:
            first.to_settle = []
            for place in others:
                place.woken.release()

    def _step(self, difference: int) -> None:
        """Count those on the way. Holds the lock."""
        self._on_the_way += difference
        if self._on_the_way == 0:
            self._changed.notify()

    def _ensure_thread(self) -> None:
        """Started with the first item, and anew in a forked process, which has none of its parent's threads."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._call_for_ever, name="micro-batching", daemon=True)
            self._thread.start()

    def _call_for_ever(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._line)
                self._changed.wait_for(lambda: self._on_the_way == 0, timeout=self._last_call_seconds)
                if not self._line:
                    continue  # all in line have left meanwhile
                places = self._take()
            self._called_at = time.monotonic()
            error: Exception | None = None
            try:
                self._call([place.item for place in places])
            except Exception as raised:  # noqa: BLE001 - whatever it is, the callers get it
                error = raised
            except BaseException as raised:  # noqa: BLE001 - a model may even raise SystemExit
                error = CallEnded(f"{type(raised).__name__}: {raised}")
            self._last_call_seconds = time.monotonic() - self._called_at
            self._called_at = None
            self._hand_over(places, error)

    def _take(self) -> "list[_Place[Item]]":
        """The first in line, and those with the same key as far as the weight allows. Holds the lock."""
        first = self._line.popleft()
        taken, weight = [first], first.weight
        if first.key is not None:
            most_weight = self._most_weight(first.key)
            for place in list(self._line):
                if place.key == first.key and weight + place.weight <= most_weight:
                    self._line.remove(place)
                    taken.append(place)
                    weight += place.weight
        for place in taken:
            place.is_called = True
        return taken

    def _hand_over(self, places: "list[_Place[Item]]", error: Exception | None) -> None:
        """The first caller who still waits settles for all of them."""
        with self._changed:
            waiting = [place for place in places if not place.has_left]
            for place in waiting:
                place.is_settling = True
                place.error = error
                # Clients often send the next request at once, so this one counts as on its way already.
                self._step(+int(place.is_counted))
        if error is not None:
            for place in waiting:
                place.woken.release()
        elif waiting:
            waiting[0].to_settle = waiting
            waiting[0].woken.release()
