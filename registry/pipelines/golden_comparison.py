"""When two answers of a pipeline are the same answer. Pure."""

from math import isclose
from typing import Any


def same_answer(one: Any, other: Any) -> bool:
    """Equal, with floats within 1e-6 relative: sums computed in another order differ in their last bits."""
    if _is_number(one) and _is_number(other) and (isinstance(one, float) or isinstance(other, float)):
        return isclose(one, other, rel_tol=1e-6, abs_tol=1e-9)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_answer(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_answer, one, other))
    return bool(one == other)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
