"""What it costs to compare texts with the patterns of a column, and its bounds. Pure.

Most patterns are compared in a time that grows with the text alone. Those with look-around or references back are
compared by trying, and some very large ones step by step: there the text, the steps and the time of a request are
bounded, whatever the pattern and the texts are.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, TypeVar

import jsonschema_rs

# Ten for each character of the longest text: a pattern that reads a text once from each place needs about one.
_MOST_STEPS = 10_000
OPTIONS = jsonschema_rs.FancyRegexOptions(backtrack_limit=_MOST_STEPS)
# The number of characters of a text that are compared. A step may read the whole text, so that a value takes up to 35
# milliseconds, and by a pattern of the largest size that the engine takes, up to 0.7 seconds.
_MOST_TRIED, _MOST_STEPPED = 1_000, 10_000
# Up to this size in bytes, the engine reads 100 million characters a second; beyond, 15,000 in the worst case.
_SMALL = jsonschema_rs.RegexOptions(size_limit=200_000)
_LARGE = jsonschema_rs.RegexOptions()
# Processor time for the columns of one request that are slow to compare.
_SECONDS = 0.5
# In the inspection, for the texts that are tried with all columns.
_TRIAL_SECONDS = 2.0
_FEW = 40
_TOO_SLOW_SECONDS = 0.1

_Found = TypeVar("_Found")


class Effort:
    """The processor time that one request still has for columns that are slow to compare."""

    def __init__(self, seconds: float = _SECONDS) -> None:
        self._left = seconds

    @property
    def is_spent(self) -> bool:
        return self._left <= 0

    def spent_on(self, compare: Callable[[Any], _Found], value: Any) -> _Found:
        started = time.thread_time()
        result = compare(value)
        self._left -= time.thread_time() - started
        return result


def most_characters(node: Mapping[str, Any]) -> int | None:
    """How long a text of a property may be, where it is slow to compare with one of its patterns; else None."""
    return min(filter(None, map(_most_characters, _patterns_in(node))), default=None)


def bounded(node: dict[str, Any]) -> dict[str, Any]:
    """The property with `maxLength` where a longer text is not compared with its pattern."""
    most = most_characters(node)
    return node if most is None else {**node, "maxLength": min(most, node.get("maxLength", most))}


def slow_texts(properties: Mapping[str, dict[str, Any]], validators: Mapping[str, Any]) -> dict[str, str]:
    """For each column whose pattern takes too long for a text that was made up from it: such a text.

    `validators` are those of the columns that are slow to compare. Takes two seconds at most.
    """
    effort, found = Effort(_TRIAL_SECONDS), {}
    for name, validator in validators.items():
        most = properties[name]["maxLength"]
        texts = (text for text in _hostile_texts(properties[name], most) if not effort.is_spent)
        if text := next((text for text in texts if effort.spent_on(_is_slow_for(validator), text)), None):
            found[name] = text
    return found


def _is_slow_for(validator: Any) -> Callable[[str], bool]:
    def is_slow(text: str) -> bool:
        started = time.thread_time()
        # An error without the pattern is one of the engine, which gave up.
        gave_up = any(
            error.kind.name == "pattern" and not hasattr(error.kind, "pattern") for error in validator.iter_errors(text)
        )
        return gave_up or time.thread_time() - started > _TOO_SLOW_SECONDS

    return is_slow


def _hostile_texts(node: Mapping[str, Any], most: int) -> Iterator[str]:
    """Repetitions of what the patterns name, short ones first; where the end does not match, all ways are tried."""
    patterns = " ".join(_patterns_in(node))
    named = dict.fromkeys(re.sub(r"\\.|[^\w .,:;@/-]", "", patterns))
    characters = [*list(named)[:20], "a", "0", " ", "é"]
    words = re.findall(r"\w{2,10}", patterns)[:5]
    pairs = [one + other for one in characters[:8] for other in characters[:8] if one != other]
    for length in (min(_FEW, most), most):
        for unit in dict.fromkeys([*characters, *words, *pairs]):
            for end in ("!", "", "\n"):
                yield (unit * length)[: length - 1] + end


def _patterns_in(part: Any) -> Iterator[str]:
    if isinstance(part, Mapping):
        for key, value in part.items():
            if key == "pattern" and isinstance(value, str):
                yield value
            elif not key.startswith("x-") and key not in ("enum", "examples", "default"):
                yield from _patterns_in(value)
    elif isinstance(part, list):
        for each in part:
            yield from _patterns_in(each)


@lru_cache(maxsize=1_000)
def _most_characters(pattern: str) -> int | None:
    if _is_taken(pattern, _SMALL):
        return None
    return _MOST_STEPPED if _is_taken(pattern, _LARGE) else _MOST_TRIED


def _is_taken(pattern: str, options: jsonschema_rs.RegexOptions) -> bool:
    try:
        jsonschema_rs.Draft202012Validator({"pattern": pattern}, pattern_options=options)
    except ValueError:
        return False
    return True
