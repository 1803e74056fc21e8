"""What does not answer at the moment, and when to ask it again. Pure: in memory of this process only.

The pause doubles with each failure, up to four seconds: no request waits longer than that once it answers again.
"""

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

_FIRST_SECONDS, _LONGEST_SECONDS = 0.5, 4.0
# What was not asked again for so long may answer by now, or be deleted, so that nothing is decided by it.
_FORGOTTEN_AFTER_SECONDS = 30.0


@dataclass(frozen=True)
class _Pause:
    until: float
    seconds: float


class Backoff(Generic[Key]):
    """By key. A key is `failing` from its first failure until something succeeds, and `paused` in the pauses between.

    It is forgotten when it is not asked again for half a minute after its pause.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pauses: dict[Key, _Pause] = {}
        self._lock = threading.Lock()

    def begin(self, key: Key) -> float:
        """It did not answer; how many seconds to leave it alone."""
        with self._lock:
            before = self._known().get(key)
            seconds = min(before.seconds * 2, _LONGEST_SECONDS) if before else _FIRST_SECONDS
            self._pauses[key] = _Pause(self._clock() + seconds, seconds)
        return seconds

    def end(self, key: Key) -> None:
        """It answered."""
        if self._pauses:
            with self._lock:
                self._pauses.pop(key, None)

    def failing(self) -> frozenset[Key]:
        if not self._pauses:
            return frozenset()
        with self._lock:
            return frozenset(self._known())

    def paused(self) -> frozenset[Key]:
        if not self._pauses:
            return frozenset()
        now = self._clock()
        with self._lock:
            return frozenset(key for key, pause in self._pauses.items() if pause.until > now)

    def seconds_left(self) -> float | None:
        """Until the first pause ends; None when nothing is failing."""
        with self._lock:
            ends = [pause.until for pause in self._known().values()]
        return max(min(ends) - self._clock(), 0.0) if ends else None

    def _known(self) -> dict[Key, _Pause]:
        """Holds the lock."""
        oldest = self._clock() - _FORGOTTEN_AFTER_SECONDS
        self._pauses = {key: pause for key, pause in self._pauses.items() if pause.until > oldest}
        return self._pauses

    def forget_all(self) -> None:
        with self._lock:
            self._pauses.clear()
