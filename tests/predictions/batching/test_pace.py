"""How many rows a batch takes of a version that was measured, or not yet."""

import pytest

from predictions.batching.pace import FIRST_ROWS, Paces

LIMIT_SECONDS = 60.0


def rows_of(paces: Paces, *, most: int = 512) -> int:
    return paces.rows_within(7, LIMIT_SECONDS, at_first=FIRST_ROWS, most=most)


@pytest.mark.parametrize(
    ("rows", "call_seconds", "fit"),
    [(1, 0.004, 512), (512, 0.004, 512), (16, 3.2, 75), (1, 20.0, 1), (16, 480.0, 1), (100, 0.0, 512)],
)
def test_it_fits_rows_into_a_quarter_of_the_time(rows: int, call_seconds: float, fit: int) -> None:
    paces = Paces()

    paces.record(7, rows=rows, seconds=call_seconds + 1, call_seconds=call_seconds)

    assert rows_of(paces) == fit


def test_it_keeps_what_a_large_call_took_for_each_row() -> None:
    paces = Paces()
    paces.record(7, rows=1000, seconds=1.0, call_seconds=1.0)
    paces.record(7, rows=1, seconds=0.5, call_seconds=0.5)

    assert rows_of(paces, most=20_000) == 15_000
    assert not paces.is_quick(7)
    paces.record(7, rows=2000, seconds=4.0, call_seconds=4.0)
    assert rows_of(paces, most=20_000) == 7_500


def test_it_begins_small() -> None:
    paces = Paces()

    assert rows_of(paces) == FIRST_ROWS
    assert rows_of(paces, most=1) == 1
    assert not paces.is_quick(7)


def test_it_forgets_what_was_long_ago() -> None:
    now = 0.0
    paces = Paces(clock=lambda: now)
    paces.record(7, rows=1, seconds=15, call_seconds=15)

    now = 61.0

    assert rows_of(paces) == FIRST_ROWS


@pytest.mark.parametrize(("seconds", "is_quick"), [(0.05, True), (0.5, False)])
def test_it_counts_loading_where_others_wait_for_it(seconds: float, is_quick: bool) -> None:
    paces = Paces()

    paces.record(7, rows=1, seconds=seconds, call_seconds=0.001)

    assert paces.is_quick(7) is is_quick
