"""Numbers of one process."""

import os
import threading

import pytest

from mlserve.observability.counters import Counters, Series


def test_it_adds_up_and_begins_anew() -> None:
    counters = Counters()
    counters.count("a", "m", "1", label="x")
    counters.count("a", "m", "1", label="x", by=2)
    counters.count("a", "m", "2")

    assert counters.take() == {Series("a", "m", "1", "x"): 3, Series("a", "m", "2", ""): 1}
    assert counters.take() == {}


@pytest.mark.parametrize(
    ("seconds", "bucket", "total"),
    [(0, "0.005", 0), (0.005, "0.005", 0.005), (0.0051, "0.01", 0.0051), (3600, "3600", 3600), (1e6, "+Inf", 1e6),
     (-5, "0.005", 0)],
)  # fmt: skip
def test_it_sorts_durations_into_buckets(seconds: float, bucket: str, total: float) -> None:
    counters = Counters()
    counters.observe("a", seconds)

    assert counters.take() == {Series("a", label=bucket): 1, Series("a", label="sum"): total}


def test_it_takes_back_what_could_not_be_kept() -> None:
    counters = Counters()
    counters.count("a")
    taken = counters.take()
    counters.count("a")
    counters.add_back(taken)

    assert counters.take() == {Series("a"): 2}


def test_it_loses_nothing_among_threads() -> None:
    counters, taken = Counters(), []

    def count() -> None:
        for _ in range(2000):
            counters.count("a")

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        taken.append(counters.take())
    taken.append(counters.take())

    assert sum(part.get(Series("a"), 0) for part in taken) == 16_000


@pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_it_leaves_to_a_parent_what_it_counted() -> None:
    counters = Counters()
    counters.count("a")
    if (pid := os.fork()) == 0:
        os._exit(1 if counters.take() else 0)

    assert os.waitpid(pid, 0)[1] == 0
    assert counters.take() == {Series("a"): 1}
