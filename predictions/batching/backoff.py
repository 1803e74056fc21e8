"""What does not answer at the moment, and when to ask it again. Pure: in memory of this process only.

The longer it is away, the longer the pause, but never so long that anybody waits for it once it is back.
"""

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

_FIRST_SECONDS, _LONGEST_SECONDS = 0.5, 4.0
# What nobody has asked again for so long may answer or not, or be gone for good; it is no reason for anything.
_FORGOTTEN_AFTER_SECONDS = 30.0


@dataclass(frozen=True)
class _Rest:
    until: float
    seconds: float


class Rests(Generic[Key]):
    """By key. A key is `away` from its first failure until something succeeds, and `resting` in the pauses between.

    It is forgotten when nobody asks again in a while after its pause.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rests: dict[Key, _Rest] = {}
        self._lock = threading.Lock()

    def begin(self, key: Key) -> float:
        """It did not answer; how many seconds to leave it alone."""
        with self._lock:
            before = self._known().get(key)
            seconds = min(before.seconds * 2, _LONGEST_SECONDS) if before else _FIRST_SECONDS
            self._rests[key] = _Rest(self._clock() + seconds, seconds)
        return seconds

    def end(self, key: Key) -> None:
        """It answered."""
        if self._rests:
            with self._lock:
                self._rests.pop(key, None)

    def away(self) -> frozenset[Key]:
        if not self._rests:
            return frozenset()
        with self._lock:
            return frozenset(self._known())

    def resting(self) -> frozenset[Key]:
        if not self._rests:
            return frozenset()
        now = self._clock()
        with self._lock:
            return frozenset(key for key, rest in self._rests.items() if rest.until > now)

    def seconds_left(self) -> float | None:
        """Until the first pause ends; None when nothing is away."""
        with self._lock:
            ends = [rest.until for rest in self._known().values()]
        return max(min(ends) - self._clock(), 0.0) if ends else None

    def _known(self) -> dict[Key, _Rest]:
        """Holds the lock."""
        oldest = self._clock() - _FORGOTTEN_AFTER_SECONDS
        self._rests = {key: rest for key, rest in self._rests.items() if rest.until > oldest}
        return self._rests

    def forget_all(self) -> None:
        with self._lock:
            self._rests.clear()
