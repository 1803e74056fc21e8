"""Counters of one process, until they are added to the totals of all processes (predictions/metrics/totals.py).

Pure: knows threads, but no database. A count costs about a microsecond, so a request can afford several.
docs/decisions/0009-counters-and-limits.md says why these are not the counters of prometheus-client.
"""

import os
import threading
from bisect import bisect_left
from typing import NamedTuple

# Seconds: of a prediction in place, of a batch, of a queue, of a very long queue.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
# The labels under which the seconds are added up, and of the bucket that has no upper edge.
SUM, INFINITE = "sum", "+Inf"
BUCKET_LABELS = (*(f"{edge:g}" for edge in BUCKETS), INFINITE)


class Series(NamedTuple):
    """The name of one number: a metric and its labels. `label` is what the metric has besides model and version."""

    metric: str
    model: str = ""
    version: str = ""
    label: str = ""


class Counters:
    """Numbers that only grow, until they are taken to be added elsewhere."""

    def __init__(self) -> None:
        self._begin_anew()
        os.register_at_fork(after_in_child=self._begin_anew)  # what was counted before is the parent's

    def _begin_anew(self) -> None:
        self._lock = threading.Lock()
        self._numbers: dict[tuple[str, str, str, str], float] = {}

    def count(self, metric: str, model: str = "", version: str = "", *, label: str = "", by: float = 1) -> None:
        key = (metric, model, version, label)
        with self._lock:
            self._numbers[key] = self._numbers.get(key, 0) + by

    def observe(self, metric: str, seconds: float, model: str = "", version: str = "") -> None:
        """Count one duration in its bucket and add its seconds to the sum. A clock that was set back counts as 0."""
        seconds = max(seconds, 0.0)
        self.count(metric, model, version, label=BUCKET_LABELS[bisect_left(BUCKETS, seconds)])
        self.count(metric, model, version, label=SUM, by=seconds)

    def take(self) -> dict[Series, float]:
        """What was counted since the last time. A caller that cannot store it gives it back."""
        with self._lock:
            numbers, self._numbers = self._numbers, {}
        return {Series(*key): number for key, number in numbers.items()}

    def add_back(self, numbers: dict[Series, float]) -> None:
        for (metric, model, version, label), number in numbers.items():
            self.count(metric, model, version, label=label, by=number)


counters = Counters()
