"""Measured numbers: percentiles, medians of rounds."""

import math
import statistics
from collections.abc import Sequence

# Numbers by name, the unit at the end of the name: `p50_ms`, `rows_per_s`.
Values = dict[str, float]


def percentile(ordered: Sequence[int], share: float) -> int:
    """The smallest value that at least `share` (0 to 1) of the values do not exceed. Raises ValueError for none."""
    if not ordered:
        raise ValueError("There is no percentile of no values.")
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def latencies(nanoseconds: Sequence[int]) -> Values:
    ordered = sorted(nanoseconds)
    return {f"p{share}_ms": percentile(ordered, share / 100) / 1e6 for share in (50, 95, 99)}


def medians(rounds: Sequence[Values]) -> Values:
    """The median of each number that every round has."""
    names = [name for name in rounds[0] if all(name in values for values in rounds)]
    return {name: statistics.median(values[name] for values in rounds) for name in names}


def rounded(values: Values) -> Values:
    """Rounded to four significant digits, which is more than a noisy machine can measure."""
    return {name: float(f"{value:.4g}") for name, value in values.items()}
