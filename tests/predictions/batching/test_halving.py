from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictions.batching.halving import MOST_NAMED_FAILURES, call_in_batches


class Doubler:
    """Answers twice each number, raises for a call that holds a bad one, and counts its calls."""

    def __init__(self, bad: Sequence[int] = ()) -> None:
        self.bad, self.sizes = set(bad), list[int]()

    def __call__(self, rows: Sequence[int]) -> dict[str, list[Any]]:
        self.sizes.append(len(rows))
        if wrong := self.bad.intersection(rows):
            raise ValueError(f"cannot double {sorted(wrong)}")
        return {"predictions": [2 * row for row in rows]}


def test_it_answers_in_the_order_of_the_rows() -> None:
    answers, failures = call_in_batches(Doubler(), [3, 1, 2], batch_rows=10)

    assert answers == {"predictions": [6, 2, 4]}
    assert not failures


def test_it_calls_with_at_most_batch_rows() -> None:
    doubler = Doubler()

    call_in_batches(doubler, list(range(25)), batch_rows=10)

    assert doubler.sizes == [10, 10, 5]


def test_it_fails_only_the_bad_rows_each_with_its_own_error() -> None:
    answers, failures = call_in_batches(Doubler(bad=[2, 5]), list(range(8)), batch_rows=8)

    assert answers["predictions"] == [0, 2, None, 6, 8, None, 12, 14]
    assert {position: str(failure.error) for position, failure in failures.items()} == {
        2: "cannot double [2]",
        5: "cannot double [5]",
    }


def test_it_finds_one_bad_row_with_few_calls() -> None:
    doubler = Doubler(bad=[300])

    call_in_batches(doubler, list(range(512)), batch_rows=512)

    assert len(doubler.sizes) <= 2 * 9 + 1


def test_it_stops_looking_into_ranges_when_nearly_everything_fails() -> None:
    doubler = Doubler(bad=range(10_000))

    _, failures = call_in_batches(doubler, list(range(10_000)), batch_rows=512)

    assert len(failures) == 10_000
    assert len(doubler.sizes) < 20 * MOST_NAMED_FAILURES


def test_it_lets_a_time_limit_through() -> None:
    def exit_at_once(rows: Sequence[int]) -> dict[str, list[Any]]:
        raise SystemExit("time limit")

    with pytest.raises(SystemExit):
        call_in_batches(exit_at_once, [1, 2], batch_rows=2)


@given(
    rows=st.lists(st.integers(0, 50), min_size=1, max_size=60),
    bad=st.sets(st.integers(0, 50), max_size=5),
    batch_rows=st.integers(1, 20),
)
def test_it_gives_every_row_an_answer_or_a_failure(rows: list[int], bad: set[int], batch_rows: int) -> None:
    answers, failures = call_in_batches(Doubler(bad=sorted(bad)), rows, batch_rows=batch_rows)

    for position, row in enumerate(rows):
        if position in failures:
            continue
        assert answers["predictions"][position] == 2 * row
        assert row not in bad
