"""Pauses between tries of what does not answer."""

from predictions.batching.backoff import Backoff


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_it_rests_longer_after_each_failure_up_to_some_seconds() -> None:
    backoff = Backoff[str](clock=Clock())

    assert [backoff.begin("a") for _ in range(6)] == [0.5, 1.0, 2.0, 4.0, 4.0, 4.0]


def test_it_stays_failing_when_the_pause_has_ended_and_begins_anew_after_a_success() -> None:
    clock = Clock()
    backoff = Backoff[str](clock=clock)
    backoff.begin("a")
    assert (list(backoff.failing()), list(backoff.paused()), backoff.seconds_left()) == (["a"], ["a"], 0.5)

    clock.now += 1
    assert (list(backoff.failing()), list(backoff.paused()), backoff.seconds_left()) == (["a"], [], 0.0)

    backoff.end("a")
    assert not backoff.failing()
    assert backoff.seconds_left() is None
    assert backoff.begin("a") == 0.5


def test_it_forgets_what_is_asked_for_no_more() -> None:
    clock = Clock()
    backoff = Backoff[str](clock=clock)
    for _ in range(3):
        backoff.begin("a")

    clock.now += 60

    assert (list(backoff.failing()), backoff.seconds_left(), backoff.begin("a")) == ([], None, 0.5)
