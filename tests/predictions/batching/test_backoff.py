"""Pauses between tries of what does not answer."""

import pytest

from predictions.batching.backoff import Rests

pytestmark = pytest.mark.once


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_it_rests_longer_after_each_failure_up_to_some_seconds() -> None:
    rests = Rests[str](clock=Clock())

    assert [rests.begin("a") for _ in range(6)] == [0.5, 1.0, 2.0, 4.0, 4.0, 4.0]


def test_it_stays_away_when_the_pause_has_ended_and_begins_anew_after_a_success() -> None:
    clock = Clock()
    rests = Rests[str](clock=clock)
    rests.begin("a")
    assert (list(rests.away()), list(rests.resting()), rests.seconds_left()) == (["a"], ["a"], 0.5)

    clock.now += 1
    assert (list(rests.away()), list(rests.resting()), rests.seconds_left()) == (["a"], [], 0.0)

    rests.end("a")
    assert not rests.away()
    assert rests.seconds_left() is None
    assert rests.begin("a") == 0.5


def test_it_forgets_what_nobody_asks_for_any_more() -> None:
    clock = Clock()
    rests = Rests[str](clock=clock)
    for _ in range(3):
        rests.begin("a")

    clock.now += 60

    assert (list(rests.away()), rests.seconds_left(), rests.begin("a")) == ([], None, 0.5)
