"""What happened in this process since somebody last asked, as numbers. Pure: knows threads, but no database.

A count costs about a microsecond, so that whoever answers a request can afford several. Counts for all processes are
made of it in predictions/metrics/totals.py.
"""

import os
import threading
from bisect import bisect_left
from dataclasses import dataclass

# Seconds. An answer in place, a batch, a queue, a very long queue.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
# The labels of what is added up beside the buckets, and of the bucket that has no end.
SUM, INFINITE = "sum", "+Inf"
_BUCKET_LABELS = (*(f"{edge:g}" for edge in BUCKETS), INFINITE)


@dataclass(frozen=True, slots=True)
class Series:
    """A number's name: the metric and its labels. `label` is whatever the metric has besides model and version."""

    metric: str
    model: str = ""
    version: str = ""
    label: str = ""


class Tally:
    """Numbers that only grow, until they are taken away to be added elsewhere."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: dict[tuple[str, str, str, str], float] = {}
        os.register_at_fork(after_in_child=self._begin_anew)  # the parent still has what it counted

    def _begin_anew(self) -> None:
        self._lock = threading.Lock()
        self._numbers = {}

    def count(self, metric: str, model: str = "", version: str = "", *, label: str = "", by: float = 1) -> None:
        key = (metric, model, version, label)
        with self._lock:
            self._numbers[key] = self._numbers.get(key, 0) + by

    def observe(self, metric: str, seconds: float, model: str = "", version: str = "") -> None:
        """One more duration in its bucket, and its seconds in the sum. A clock that was set back counts as 0."""
        seconds = max(seconds, 0.0)
        self.count(metric, model, version, label=_BUCKET_LABELS[bisect_left(BUCKETS, seconds)])
        self.count(metric, model, version, label=SUM, by=seconds)

    def take(self) -> dict[Series, float]:
        """What was counted since the last time. Whoever cannot keep it gives it back."""
        with self._lock:
            numbers, self._numbers = self._numbers, {}
        return {Series(*key): number for key, number in numbers.items()}

    def add_back(self, numbers: dict[Series, float]) -> None:
        for series, number in numbers.items():
            self.count(series.metric, series.model, series.version, label=series.label, by=number)

    def is_empty(self) -> bool:
        return not self._numbers


tally = Tally()
