"""A result as a page shows it: labels, probabilities as bars, numbers as text. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from predictions.pages.questions import text_of

_SIGNIFICANT_DIGITS = 6
_MAIN_BARS = 8


@dataclass(frozen=True)
class Bar:
    """The probability of one class."""

    label: str
    probability: float

    @property
    def percent(self) -> str:
        """Rounded, but only a certain class is ever 100 % and only an impossible one 0 %."""
        rounded = f"{self.probability:.1%}"
        if rounded == "100.0%":
            return "100%" if self.probability == 1 else "> 99.9%"
        if rounded == "0.0%":
            return "0%" if self.probability == 0 else "< 0.1%"
        return rounded


@dataclass(frozen=True)
class Answer:
    """One output for one row. `bars` are sorted, the most probable first; none for a regressor.

    Where a row may have several labels, all of them are one answer, and each bar is a label's own probability.
    """

    label: str
    bars: tuple[Bar, ...] = ()
    is_several: bool = False

    @property
    def top(self) -> Bar | None:
        return self.bars[0] if self.bars else None

    @property
    def main_bars(self) -> tuple[Bar, ...]:
        return self.bars[:_MAIN_BARS]

    @property
    def other_bars(self) -> tuple[Bar, ...]:
        return self.bars[_MAIN_BARS:]


def answers_of(result: Mapping[str, Any], labels: Mapping[str, str], *, limit: int) -> list[list[Answer]]:
    """The answers of the first `limit` rows, each a list with one answer per output of the model."""
    predictions = result["predictions"][:limit]
    probabilities = result.get("probabilities") or [None] * len(predictions)
    return [
        _row_answers(prediction, probability, labels)
        for prediction, probability in zip(predictions, probabilities[:limit], strict=True)
    ]


def value_text(value: Any) -> str:
    """A predicted value: floats rounded to six digits, everything else as JSON writes it."""
    if not isinstance(value, float) or value == 0 or not math.isfinite(value):
        return text_of(value)
    magnitude = math.floor(math.log10(abs(value)))
    if not -4 <= magnitude < 15:
        return f"{value:.{_SIGNIFICANT_DIGITS}g}"
    decimals = max(0, _SIGNIFICANT_DIGITS - 1 - magnitude)
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if decimals else text


def _row_answers(prediction: Any, probability: Any, labels: Mapping[str, str]) -> list[Answer]:
    if not isinstance(prediction, list):
        return [_answer(prediction, probability, labels)]
    if isinstance(probability, Mapping) and len(probability) == len(prediction):
        return [_several(prediction, probability, labels)]
    per_output = probability if isinstance(probability, list) else [probability] * len(prediction)
    return [_answer(value, each, labels) for value, each in zip(prediction, per_output, strict=True)]


def _several(indicators: list[Any], probability: Mapping[str, float], labels: Mapping[str, str]) -> Answer:
    """A list with a nought or a one for each label, beside the probability of each: what one-vs-rest answers."""
    names = [labels.get(name, name) for name in probability]
    given = [name for name, indicator in zip(names, indicators, strict=True) if indicator]
    bars = sorted((Bar(name, share) for name, share in zip(names, probability.values(), strict=True)), key=_by_share)
    return Answer(", ".join(given) or "no label", tuple(bars), is_several=True)


def _by_share(bar: Bar) -> float:
    return -bar.probability


def _answer(value: Any, probability: Mapping[str, float] | None, labels: Mapping[str, str]) -> Answer:
    by_class = sorted((probability or {}).items(), key=lambda pair: -pair[1])
    bars = tuple(Bar(labels.get(name, name), share) for name, share in by_class)
    return Answer(labels.get(_class_name(value)) or value_text(value), bars)


def _class_name(value: Any) -> str:
    """How a result names a class among its probabilities; the labels of a form configuration do the same."""
    return text_of(value) if isinstance(value, bool) else str(value)
