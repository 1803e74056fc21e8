import pytest

from benchmark.figures import latencies, medians, percentile, rounded


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.95, 95), (0.99, 99), (1.0, 100), (0.001, 1)], ids=str)
def test_it_finds_percentiles(share: float, expected: int) -> None:
    assert percentile(range(1, 101), share) == expected


def test_it_takes_the_only_value_for_every_percentile() -> None:
    assert latencies([3_000_000]) == {"p50_ms": 3.0, "p95_ms": 3.0, "p99_ms": 3.0}


def test_it_sorts_before_it_counts() -> None:
    assert latencies([9_000_000, 1_000_000, 5_000_000])["p50_ms"] == 5.0


def test_it_refuses_percentiles_of_nothing() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_it_takes_the_median_of_each_number_that_all_rounds_have() -> None:
    rounds = [{"a": 1.0, "b": 5.0}, {"a": 100.0, "b": 4.0}, {"a": 2.0}]

    assert medians(rounds) == {"a": 2.0}


def test_it_rounds_to_what_can_be_told() -> None:
    assert rounded({"large": 123_456.0, "small": 0.00123456}) == {"large": 123_500.0, "small": 0.001235}
