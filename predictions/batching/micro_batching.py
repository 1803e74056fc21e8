"""Requests that come while a call runs form the next call. Pure: knows threads, but neither models nor databases.

A lone request is served at once, and under load the calls grow by themselves: a call begins when no request is on its
way any more, and waits for those at most as long as the last call took. Each key has a line and a thread that makes its
calls, one at a time, so that no key waits for another one, and a request can stop waiting while its call goes on.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf
from typing import Generic, TypeVar

from predictions.batching.shared_errors import copy_of

Item = TypeVar("Item")

# A line without a request for so long is closed, and its thread ends.
_IDLE_SECONDS = 30.0


class Overfull(Exception):
    """More wait already than may wait."""


class CallEnded(Exception):
    """The call was left by something that is no error of its items: its process has ended."""


@dataclass(eq=False)
class _Place(Generic[Item]):
    """One caller in the line. `woken` is released once, when there is something for the caller to do or to know."""

    item: Item
    weight: int
    is_alone: bool
    woken: threading.Lock = field(default_factory=threading.Lock)
    is_counted: bool = False
    is_called: bool = False
    is_settling: bool = False
    has_left: bool = False
    to_settle: "list[_Place[Item]]" = field(default_factory=list)
    error: BaseException | None = None

    def __post_init__(self) -> None:
        self.woken.acquire()


@dataclass(eq=False)
class _Line(Generic[Item]):
    """Those who wait for calls of one key. `called_at` is when the present call began."""

    key: Hashable
    places: "deque[_Place[Item]]" = field(default_factory=deque)
    called_at: float | None = None
    last_call_seconds: float = 0.0


class MicroBatcher(Generic[Item]):
    """`call` gets items of one key, in their order of arrival, in the thread of their line; it writes into the items.

    `settle` then gets those whose callers still wait, in the thread of one of these callers, while the next call may
    already run. Who waits behind a call that takes longer than `long_call_seconds` leaves as if its time had run out.
    """

    def __init__(
        self,
        call: Callable[[Sequence[Item]], None],
        settle: Callable[[Sequence[Item]], None],
        *,
        most_waiting: int,
        most_weight: Callable[[Hashable], int],
        long_call_seconds: float = inf,
    ) -> None:
        self._call, self._settle = call, settle
        self._most_waiting, self._most_weight = most_waiting, most_weight
        self._long_call_seconds = long_call_seconds
        self._lines: dict[Hashable, _Line[Item]] = {}
        self._waiting = 0
        self._changed = threading.Condition()
        self._on_the_way = 0
        self._this_thread = threading.local()
        os.register_at_fork(after_in_child=self._forget_lines)

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

    def submit(self, item: Item, *, key: Hashable, weight: int, timeout_seconds: float, is_alone: bool = False) -> bool:
        """Wait until `item` was called and settled. False when the time ran out first: then it never is settled.

        An item that `is_alone` shares its call with no other. Raises Overfull, CallEnded, or what `call` or `settle`
        raised, as an exception of its own in each thread.
        """
        place = _Place(item, weight, is_alone)
        with self._changed:
            if self._waiting >= self._most_waiting:
                raise Overfull(f"{self._waiting} requests wait for a model already")
            line = self._line_of(key)
            line.places.append(place)
            self._waiting += 1
            if len(line.places) == 1:
                self._changed.notify_all()  # its thread sleeps; while others are in line, it waits for those on the way
            place.is_counted = getattr(self._this_thread, "is_counted", False)
            self._step(-int(place.is_counted))
        if not self._wait(place, line, timeout_seconds):
            return False
        if place.to_settle:
            self._settle_for_all(place.to_settle)
        if place.error is not None:
            raise copy_of(place.error) from place.error
        return True

    def seconds_in_call(self, key: Hashable) -> float:
        """For how long the present call of this key has run; 0 when none does."""
        line = self._lines.get(key)
        called_at = None if line is None else line.called_at
        return 0.0 if called_at is None else time.monotonic() - called_at

    def _wait(self, place: _Place[Item], line: _Line[Item], timeout_seconds: float) -> bool:
        """Whether the place was called and is to be settled; else it has left."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            left = deadline - time.monotonic()
            if place.woken.acquire(timeout=max(0.0, min(left, self._long_call_seconds))):
                return True
            is_behind_long_call = not place.is_called and self.seconds_in_call(line.key) >= self._long_call_seconds
            if left <= self._long_call_seconds or is_behind_long_call:
                return not self._leave(place, line)

    def _leave(self, place: _Place[Item], line: _Line[Item]) -> bool:
        """Stop waiting; False when it is being settled already, and then the end is moments away."""
        with self._changed:
            if not place.is_settling:
                place.has_left = True
                self._step(+int(place.is_counted))
                if not place.is_called:
                    line.places.remove(place)
                    self._waiting -= 1
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
            self._changed.notify_all()

    def _line_of(self, key: Hashable) -> _Line[Item]:
        """Its thread ends when it has had nothing to do for some time. Holds the lock."""
        line = self._lines.get(key)
        if line is None:
            line = _Line(key)
            threading.Thread(target=self._serve, args=(line,), name="micro-batching", daemon=True).start()
            self._lines[key] = line
        return line

    def _forget_lines(self) -> None:
        """A forked process has none of its parent's threads, and a lock as it was."""
        self._lines, self._waiting, self._changed = {}, 0, threading.Condition()

    def _serve(self, line: _Line[Item]) -> None:
        while True:
            with self._changed:
                if not self._changed.wait_for(lambda: line.places, timeout=_IDLE_SECONDS):
                    del self._lines[line.key]
                    return
                self._changed.wait_for(lambda: self._on_the_way == 0, timeout=line.last_call_seconds)
                if not line.places:
                    continue  # all in line have left meanwhile
                places = self._take(line)
            line.called_at = started = time.monotonic()
            error: Exception | None = None
            try:
                self._call([place.item for place in places])
            except Exception as raised:  # noqa: BLE001 - whatever it is, the callers get it
                error = raised
            except BaseException as raised:  # noqa: BLE001 - what is no error of the items must not end this thread
                error = CallEnded(f"{type(raised).__name__}: {raised}")
            line.last_call_seconds, line.called_at = time.monotonic() - started, None
            self._hand_over(places, error)

    def _take(self, line: _Line[Item]) -> "list[_Place[Item]]":
        """The first in line, and others as far as the weight allows. Holds the lock."""
        first = line.places.popleft()
        taken, weight = [first], first.weight
        if not first.is_alone:
            most_weight = self._most_weight(line.key)
            for place in list(line.places):
                if not place.is_alone and weight + place.weight <= most_weight:
                    line.places.remove(place)
                    taken.append(place)
                    weight += place.weight
        for place in taken:
            place.is_called = True
        self._waiting -= len(taken)
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
