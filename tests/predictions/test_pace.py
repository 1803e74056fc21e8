"""How many rows a batch takes of a version that was measured, or not yet."""

import pytest

from predictions.pace import FIRST_ROWS, Paces


@pytest.mark.once
@pytest.mark.parametrize(
    ("rows", "call_seconds", "fit"),
    [(1, 0.004, 512), (512, 0.004, 512), (16, 3.2, 75), (1, 20.0, 1), (16, 480.0, 1), (100, 0.0, 512)],
)
def test_it_fits_rows_into_the_time(rows: int, call_seconds: float, fit: int) -> None:
    paces = Paces()

    paces.note(7, rows=rows, seconds=call_seconds + 1, call_seconds=call_seconds)

    assert paces.rows_within(7, seconds=15, most=512) == fit


@pytest.mark.once
def test_it_begins_small() -> None:
    paces = Paces()

    assert paces.rows_within(7, seconds=15, most=512) == FIRST_ROWS
    assert paces.rows_within(7, seconds=15, most=1) == 1
    assert not paces.is_quick(7)


@pytest.mark.once
@pytest.mark.parametrize(("seconds", "is_quick"), [(0.05, True), (0.5, False)])
def test_it_counts_loading_where_others_wait_for_it(seconds: float, is_quick: bool) -> None:
    paces = Paces()

    paces.note(7, rows=1, seconds=seconds, call_seconds=0.001)

    assert paces.is_quick(7) is is_quick
