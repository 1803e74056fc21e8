"""How fast versions answered this process last: how many rows fit into a batch, and whether it is worth sharing. Pure.

A call of most models costs the same for one row and for hundreds, and a full batch is best. One that takes a fifth of a
second for each row would exceed its time limit with a full batch, and be taken for one that hangs.
"""

from dataclasses import dataclass

# A batch of a version whose last one took no longer is not worth another worker's attention.
_QUICK_SECONDS = 0.1
# Of a version that this process has not called yet: few enough for one that takes seconds for each.
FIRST_ROWS = 16


@dataclass(frozen=True)
class _Measured:
    seconds: float
    seconds_per_row: float


class Paces:
    """By version, as last measured. Of one thread."""

    def __init__(self) -> None:
        self._measured: dict[int, _Measured] = {}

    def note(self, version_id: int, *, rows: int, seconds: float, call_seconds: float) -> None:
        """`seconds` is what a batch took altogether, `call_seconds` what of it grows with its `rows`."""
        self._measured[version_id] = _Measured(seconds, call_seconds / max(rows, 1))

    def is_quick(self, version_id: int) -> bool:
        measured = self._measured.get(version_id)
        return measured is not None and measured.seconds < _QUICK_SECONDS

    def rows_within(self, version_id: int, *, seconds: float, most: int) -> int:
        """At least one; `most` where that many take less time by all that is known."""
        measured = self._measured.get(version_id)
        if measured is None:
            return min(FIRST_ROWS, most)
        if measured.seconds_per_row * most <= seconds:
            return most
        return max(1, int(seconds / measured.seconds_per_row))

    def forget_all(self) -> None:
        self._measured.clear()
