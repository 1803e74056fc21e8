"""How much two answers of a pipeline differ, in words. Pure."""

from collections.abc import Iterator
from math import isfinite
from typing import Any

from registry.pipelines.golden_comparison import same_answer

_MOST_SHOWN = 3


def difference_text(one: Any, other: Any) -> str:
    """'+1.5 (+3.2 %)' for numbers, the same by class for probabilities, the greatest first; '' for other values.

    Per cent are of the first number, and left out where that is 0.
    """
    found = sorted(_differences(one, other), key=lambda each: -abs(each[1]))
    texts = [f"{name} {_signed(delta)}{_percent(delta, base)}".strip() for name, delta, base in found[:_MOST_SHOWN]]
    return ", ".join(texts) + (f" and {len(found) - _MOST_SHOWN} more" if len(found) > _MOST_SHOWN else "")


def _differences(one: Any, other: Any, name: str = "") -> Iterator[tuple[str, float, float]]:
    """(where, difference, first number) of each number that differs."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in [*one, *(key for key in other if key not in one)]:
            # A class that one version lacks has no probability there.
            yield from _differences(one.get(key, 0.0), other.get(key, 0.0), f"{name} {key}".strip())
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (ours, theirs) in enumerate(zip(one, other, strict=True), start=1):
            yield from _differences(ours, theirs, f"{name} {number}".strip())
    elif _is_number(one) and _is_number(other) and not same_answer(one, other):
        yield name, other - one, one


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _signed(value: float) -> str:
    return f"{value:+,.4g}"


def _percent(delta: float, base: float) -> str:
    return f" ({100 * delta / abs(base):+,.3g} %)" if base else ""
