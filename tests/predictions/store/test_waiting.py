"""Waiting for an end, with a clock of the test's own."""

import pytest

from predictions import tasks
from predictions.store import waiting
from tests.predictions.conftest import Submit

pytestmark = pytest.mark.django_db


class Clock:
    """Time passes only by sleeping; `at` runs something at a moment."""

    def __init__(self, at: dict[float, object] | None = None) -> None:
        self.now, self.sleeps, self._at = 0.0, list[float](), dict(at or {})

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.sleeps.append(seconds)
        for moment in [moment for moment in self._at if moment <= self.now]:
            self._at.pop(moment)()  # type: ignore[operator]


def test_it_returns_as_soon_as_the_prediction_ended(submit_rows: Submit) -> None:
    prediction, clock = submit_rows(), None
    clock = Clock({0.5: tasks.drain})

    assert waiting.wait_until_ended(prediction.pk, 10, clock=clock, sleep=clock.sleep)
    assert 0.5 <= clock.now <= 0.6


def test_it_gives_up_at_the_deadline(submit_rows: Submit) -> None:
    clock = Clock()

    assert not waiting.wait_until_ended(submit_rows().pk, 2, clock=clock, sleep=clock.sleep)
    assert clock.now == pytest.approx(2)


def test_it_looks_often_at_first_and_seldom_later(submit_rows: Submit) -> None:
    clock = Clock()

    waiting.wait_until_ended(submit_rows().pk, 5, clock=clock, sleep=clock.sleep)

    assert clock.sleeps[0] < 0.01
    assert max(clock.sleeps) <= 0.1
    assert len(clock.sleeps) < 70


def test_it_gives_up_soon_after_the_service_was_asked_to_stop(
    submit_rows: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(waiting, "seconds_since_stop", lambda: clock.now - 1)

    assert not waiting.wait_until_ended(submit_rows().pk, 20, clock=clock, sleep=clock.sleep)
    assert clock.now == pytest.approx(6, abs=0.2)


def test_it_does_not_wait_when_too_many_do(submit_rows: Submit) -> None:
    taken = [waiting._places.acquire(blocking=False) for _ in range(waiting.MOST_WAITING)]
    try:
        assert not waiting.wait_until_ended(submit_rows().pk, 10)
    finally:
        for _ in taken:
            waiting._places.release()
