"""The values of an enum or of `x-training-values`, whose number costs a request nothing. Pure.

The validator compares a value with each number of an enum, and copies all of an enum into each error: with 70,000
categories that takes a millisecond for each wrong text and 75 for each number.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import cached_property
from typing import Any

from registry.schema.flattening import types_of
from registry.schema.long_lists import MOST_VALUES

# The validator finds a text in a hash table of its own, so that a short enum of texts may stay with it.
_FEW = 50
_SHOWN, _SHOWN_CHARACTERS = 12, 80
# difflib compares the value with every name, which for this many of this length takes 30 milliseconds at worst.
_MOST_COMPARED, _MOST_CHARACTERS = 200, 50


class Options:
    """Values to be told apart from others, and how they are named to a person."""

    def __init__(self, values: Iterable[Any]) -> None:
        self._listed = [value for value in values if value is None or isinstance(value, str | int | float)]
        self.values = frozenset(self._listed)

    @cached_property
    def sentence(self) -> str:
        """“must be 'a', 'b' or 'c' (and 9 more)”."""
        present = [value for value in self._listed if value is not None]
        if len(present) > MOST_VALUES:
            return f"must be one of {len(present):,} values, such as {any_of([shown(value) for value in present[:3]])}"
        names = any_of([shown(value) for value in present[:_SHOWN]]) if present else "null"
        return f"must be {names}" + (f" (and {len(present) - _SHOWN:,} more)" if len(present) > _SHOWN else "")

    def did_you_mean(self, value: Any, *, may_compare: Callable[[], bool]) -> str:
        """The option that differs in case only, else the most similar one of a few."""
        if not isinstance(value, str) or len(value) > _MOST_CHARACTERS:
            return ""
        close = self._by_lower.get(value.lower())
        if close is None and len(self._by_lower) <= _MOST_COMPARED and may_compare():
            similar = get_close_matches(value.lower(), self._by_lower, n=1)
            close = self._by_lower[similar[0]] if similar else None
        return "" if close is None else f"; did you mean {close!r}?"

    @cached_property
    def _by_lower(self) -> dict[str, str]:
        texts = (value for value in self._listed if isinstance(value, str) and len(value) <= _MOST_CHARACTERS)
        return {text.lower(): text for text in texts}


def any_of(names: Sequence[str]) -> str:
    """'a', 'a or b', 'a, b or c'."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def shown(value: Any) -> str:
    """A value as Python writes it, a long text cut."""
    if isinstance(value, str) and len(value) > _SHOWN_CHARACTERS:
        return f"{value[:_SHOWN_CHARACTERS]!r}…"
    return repr(value)


def enum_options(node: Mapping[str, Any]) -> Options | None:
    """The enum of a flat property."""
    if "enum" not in node:
        return None
    # To Python, true is equal to 1.
    is_boolean = types_of(node)[0] == "boolean"
    return Options(value for value in node["enum"] if isinstance(value, bool) == is_boolean or value is None)


def is_left_to_validator(node: Mapping[str, Any]) -> bool:
    """Whether the validator finds a value among those of the enum as fast as `Options` does."""
    kind, _ = types_of(node)
    return kind == "boolean" or (kind == "string" and len(node.get("enum", ())) <= _FEW)


def without_enum(node: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in node.items() if key != "enum"}
