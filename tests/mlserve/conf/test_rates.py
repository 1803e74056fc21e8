"""Rates, and the shares of them that processes take."""

import pytest

from mlserve.conf.rates import Rate, Share, rate_of


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("600/min", Rate(600, 60)),
        ("10/s", Rate(10, 1)),
        (" 5_000 / Hour ", Rate(5000, 3600)),
        ("", None),
        (" ", None),
    ],
)
def test_it_reads_a_rate(text: str, rate: Rate | None) -> None:
    assert rate_of(text) == rate


@pytest.mark.parametrize("text", ["600", "0/min", "-1/s", "x/min", "10/day", "1.5/s", "600/min/h", "٣/s"])
def test_it_refuses_what_is_no_rate(text: str) -> None:
    with pytest.raises(ValueError, match=text.replace(".", r"\.")):
        rate_of(text)


def test_it_numbers_windows_from_a_fixed_beginning() -> None:
    rate = Rate(10, 60)

    assert (rate.window(59.9), rate.window(60), rate.ends_at(61.0)) == (0, 1, 120.0)


@pytest.mark.parametrize("processes", [1, 3, 16])
@pytest.mark.parametrize("limit", [1, 7, 600])
def test_it_never_grants_more_than_the_limit(limit: int, processes: int) -> None:
    """However many processes share a window, in turns."""
    shares = [Share(Rate(limit, 60), 0) for _ in range(processes)]
    count = granted = 0
    for turn in range(3 * limit + processes):
        share = shares[turn % processes]
        if not share.spend(1) and not share.is_used_up:
            asked = share.wanted(1)
            count += asked
            share.receive(asked, count)
            granted += share.spend(1)
        else:
            granted += share.left >= 0 and not share.is_used_up
    assert granted <= limit


def test_it_grants_all_of_the_limit_to_one_process_and_seldom_asks() -> None:
    share, count, granted, asked_times = Share(Rate(600, 60), 0), 0, 0, 0
    while not share.is_used_up:
        if not share.spend(1):
            asked = share.wanted(1)
            count, asked_times = count + asked, asked_times + 1
            share.receive(asked, count)
        else:
            granted += 1

    assert granted == 600
    assert asked_times < 100


def test_it_gives_nothing_of_what_lies_above_the_limit() -> None:
    share = Share(Rate(10, 60), 0)

    share.receive(5, 12)  # others had taken 7
    assert share.left == 3
    share.receive(1, 13)
    assert share.left == 3
    assert not share.spend(4)
    assert share.spend(3)
    assert share.is_used_up
