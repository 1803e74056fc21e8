"""The trainer's own answers to the sample rows, compared with what is served. Pure.

A label is equal to a label of the same JSON type only: 1 is not "1", and true is not 1. Cells of CSV have no type, so
each is read as the type of the answer that it is compared with.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from math import isclose
from typing import Any

from mlserve.errors import BadUpload
from registry.inspection.report import Check
from registry.schema.row_files import cell_value
from registry.sources.answer_files import TrainerAnswers, texts_of

_RELATIVE, _WITHIN = 1e-6, "labels equal, numbers within a relative 1e-6"
# Sums in another order differ by so much of the largest number, where the sum itself is nearly zero.
_OF_LARGEST = 1e-13
_SHOWN_ROWS, _SHOWN_TEXT, _SHOWN_NAMES = 5, 80, 20
_NO_VALUE = frozenset({"", "na", "n/a", "<na>", "nan", "null", "none"})
_KINDS = {bool: "boolean", int: "integer", float: "number", str: "string"}

HOW = (
    'pd.Series(pipeline.predict(X)).to_csv("expected.csv", index=False) where it was trained, X being the sample\'s '
    "rows; give that file as `expected`."
)
FIX = (
    "Look at what the pipeline gets: the schema's dtypes, its missing values, the order of columns. Or, if the file is "
    f"wrong, write it again: {HOW}"
)


def absent(guessed: Sequence[str]) -> Check:
    """The check where the trainer's answers were not given. `guessed` are the columns whose type is a guess."""
    detail = "The trainer's answers were not given, so nobody knows whether these are the same."
    if guessed:
        more = f" and {len(guessed) - _SHOWN_NAMES} more" if len(guessed) > _SHOWN_NAMES else ""
        detail += f" Guessed from the sample: the type of {', '.join(guessed[:_SHOWN_NAMES])}{more}."
    return Check("answers", "warning", detail, f"Give them: {HOW}")


def outputs_for(trainer: TrainerAnswers, available: Sequence[str], *, row_count: int) -> list[str]:
    """The methods of the pipeline whose answers were given. Raises BadUpload for others, and for another row count."""
    outputs = ["predict", *(["predict_proba"] if trainer.probabilities is not None else [])]
    if lacking := [name for name in outputs if name not in available]:
        raise BadUpload(f"Probabilities are expected, but the pipeline has no {lacking[0]}.")
    if len(trainer) != row_count:
        header = " The first line of a CSV file is its header." if trainer.is_text and len(trainer) < row_count else ""
        raise BadUpload(f"{len(trainer)} expected answers were given for {row_count} sample rows.{header}")
    return outputs


def require_same(trainer: TrainerAnswers, served: Mapping[str, Sequence[Any]], labels: Any) -> str:
    """Compare the served answers, {"predictions": […], "probabilities": […]}, with the trainer's; what was compared.

    The rows that are served may be the first ones only. `labels` are the pipeline's class labels, None for a regressor.
    Raises BadUpload with the rows that differ, or for an answer that is missing.
    """
    texts, differing, hint, count = texts_of(labels), dict[int, str](), "", 0
    for name, given in trainer.given.items():
        answers = served[name]
        count = len(answers)
        wanted = [_wanted(trainer, row, given[row], answer, texts) for row, answer in enumerate(answers)]
        is_exact = name == "predictions" and labels is not None
        if found := dict(_differing(wanted, answers, is_exact=is_exact)):
            differing = {**found, **differing}
            hint = hint or _hint_of_order(wanted, answers)
    if not differing:
        return f"The {' and '.join(trainer.given)} of {count} rows are the trainer's: {_WITHIN}."
    shown = "; ".join(f"row {row + 1}: {differing[row]}" for row in sorted(differing)[:_SHOWN_ROWS])
    more = "; …" if len(differing) > _SHOWN_ROWS else "."
    raise BadUpload(
        f"{len(differing)} of {count} rows get another answer than the trainer saw (the rule: {_WITHIN}). "
        f"{shown}{more}{hint}"
    )


def _wanted(trainer: TrainerAnswers, row: int, given: Any, answer: Any, labels: frozenset[str]) -> Any:
    """What the trainer saw, as a value of the kind of `answer` where it can be one. Raises BadUpload for no value."""
    value = _shaped(given, answer)
    if trainer.is_text:
        value = _read(value, answer, labels)
    if _has_gap(value) and value != answer:
        raise BadUpload(f"The expected answers have no value for row {row + 1}; each sample row needs one.")
    return value


def _shaped(given: Any, answer: Any) -> Any:
    """`given` with the class labels of `answer`: in their order for a list, and as JSON writes true and false."""
    if isinstance(given, list) and isinstance(answer, list):
        return [_shaped(*each) for each in zip(given, answer, strict=True)] if len(given) == len(answer) else given
    if not isinstance(answer, dict):
        return given
    if isinstance(given, list) and len(given) == len(answer):
        return dict(zip(answer, given, strict=True))
    if isinstance(given, dict):
        return {each if each in answer or each.lower() not in answer else each.lower(): given[each] for each in given}
    return given


def _read(given: Any, answer: Any, labels: frozenset[str]) -> Any:
    """Text of CSV as a value of the type of `answer`; the text itself where it is none, None where nothing stands."""
    if isinstance(given, dict):
        parts = answer if isinstance(answer, dict) else {}
        return {name: _read(part, parts.get(name), labels) for name, part in given.items()}
    if isinstance(given, list):
        several = answer if isinstance(answer, list) and len(answer) == len(given) else [None] * len(given)
        return [_read(*each, labels) for each in zip(given, several, strict=True)]
    if given is None or given in labels:
        return given
    if given.strip().lower() in _NO_VALUE:
        return None
    return cell_value({"type": _KINDS.get(type(answer), "string")}, given)


def _has_gap(value: Any) -> bool:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return value is None or any(map(_has_gap, parts))


def _differing(wanted: Sequence[Any], served: Sequence[Any], *, is_exact: bool) -> Iterator[tuple[int, str]]:
    """The rows that differ, and both values in words."""
    numbers = [abs(number) for number in _floats_in(served)]
    tolerance = None if is_exact else _OF_LARGEST * max(numbers, default=0.0)
    for row, (one, other) in enumerate(zip(wanted, served, strict=True)):
        if (words := _difference(one, other, tolerance)) is not None:
            yield row, words


def _difference(wanted: Any, served: Any, tolerance: float | None, where: str = "") -> str | None:
    """Both values in words where they differ; `tolerance` is absolute, None where numbers are labels."""
    if isinstance(wanted, dict) and isinstance(served, dict) and wanted.keys() == served.keys():
        parts = [(wanted[name], served[name], f"{where}{name}: ") for name in served]
    elif isinstance(wanted, list) and isinstance(served, list) and len(wanted) == len(served):
        parts = [
            (one, other, f"{where}output {number}: ")
            for number, (one, other) in enumerate(zip(wanted, served, strict=True))
        ]
    elif _is_same(wanted, served, tolerance):
        return None
    else:
        return f"{where}the trainer saw {_shown(wanted)}, here it is {_shown(served)}"
    return next((words for one, other, at in parts if (words := _difference(one, other, tolerance, at))), None)


def _is_same(wanted: Any, served: Any, tolerance: float | None) -> bool:
    if isinstance(wanted, bool) or isinstance(served, bool):
        return wanted is served
    if not (isinstance(wanted, int | float) and isinstance(served, float)) or tolerance is None:
        return bool(wanted == served)
    try:
        return isclose(wanted, served, rel_tol=_RELATIVE, abs_tol=tolerance)
    except OverflowError:  # a whole number beyond float64
        return False


def _hint_of_order(wanted: Sequence[Any], served: Sequence[Any]) -> str:
    is_same = Counter(map(_shown, wanted)) == Counter(map(_shown, served))
    return " They are the same answers in another order: does each stand where its sample row does?" if is_same else ""


def _floats_in(value: Any) -> Iterator[float]:
    if isinstance(value, float):
        yield value
    elif isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _floats_in(part)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_TEXT else f"{text[:_SHOWN_TEXT]}…"
