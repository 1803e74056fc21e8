"""How fast versions answered this process last: how many rows fit into a batch, and whether it is worth sharing. Pure.

A call of most models costs the same for one row and for hundreds, and a full batch is best. One that takes a fifth of a
second for each row would exceed its time limit with a full batch, and be taken for one that hangs.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

# A batch of a version whose last one took no longer is not worth another worker's attention.
_QUICK_SECONDS = 0.1
# Of a version that this worker has not called yet: few enough for one that takes seconds for each.
FIRST_ROWS = 16
# Of the time that a batch may take, so much is planned for: the next one may be slower than the last.
PLANNED_SHARE = 0.25
# A version that was slow once is sent to the workers, so that without an end this process would never measure it again.
_FORGOTTEN_AFTER_SECONDS = 60.0


@dataclass(frozen=True)
class _Measured:
    at: float
    seconds: float
    rows: int
    seconds_per_row: float


class Paces:
    """By version, as last measured, by one thread."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._measured: dict[int, _Measured] = {}

    def record(self, version_id: int, *, rows: int, seconds: float, call_seconds: float) -> None:
        """`seconds` is what a batch took altogether, `call_seconds` what of it grows with its `rows`.

        What a large call took for each row stays known: of a small one, most is what every call takes.
        """
        now, before = self._clock(), self._measured.get(version_id)
        if before is not None and rows < before.rows and before.at >= now - _FORGOTTEN_AFTER_SECONDS:
            self._measured[version_id] = replace(before, seconds=seconds)
        else:
            self._measured[version_id] = _Measured(now, seconds, rows, call_seconds / max(rows, 1))

    def is_quick(self, version_id: int) -> bool:
        measured = self._measured.get(version_id)
        return measured is not None and measured.seconds < _QUICK_SECONDS

    def rows_within(
        self, version_id: int, limit_seconds: float, *, at_first: int, most: int, share: float = PLANNED_SHARE
    ) -> int:
        """How many rows make a batch that takes at most a `share` of its time limit: at least one, at most `most`.

        `at_first`: while nothing is known of the version, or nothing any more.
        """
        measured, planned_seconds = self._measured.get(version_id), limit_seconds * share
        if measured is None or measured.at < self._clock() - _FORGOTTEN_AFTER_SECONDS:
            return min(at_first, most)
        if measured.seconds_per_row * most <= planned_seconds:
            return most
        return max(1, int(planned_seconds / measured.seconds_per_row))

    def forget_all(self) -> None:
        self._measured.clear()
