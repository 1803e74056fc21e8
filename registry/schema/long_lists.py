"""Which lists of values are too long to be shown, and a schema without them. Pure.

A page or a document that shows a model must not grow with its categories: there may be 100,000 of them. The whole list
stands at the schema's own address.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

MOST_VALUES = 300
# For all lists of one model, where each has fewer values: the shortest are shown.
_MOST_CHARACTERS = 40_000
_SHOWN_EXAMPLES = 3
_LISTS = ("enum", "x-training-values", "examples")
_Name = TypeVar("_Name")


def long_lists(lists: Mapping[_Name, Sequence[Any]]) -> frozenset[_Name]:
    """The names of the lists that are too long to be shown together with the others."""
    sizes = {name: _size(values) for name, values in lists.items() if len(values) <= MOST_VALUES}
    room, shown = _MOST_CHARACTERS, set()
    for name in sorted(sizes, key=lambda each: sizes[each]):
        room -= sizes[name]
        if room < 0:
            break
        shown.add(name)
    return frozenset(lists) - shown


def without_long_lists(schema: Mapping[str, Any], whole_at: str) -> dict[str, Any]:
    """A flat schema in which a few examples stand for each long list, and a sentence says where it is (`whole_at`).

    It accepts more than `schema` where an enum was left out.
    """
    properties = schema["properties"]
    lists = {(name, key): node[key] for name, node in properties.items() for key in _LISTS if key in node}
    cut = dict(properties)
    for name, key in long_lists(lists):
        cut[name] = _without(cut[name], key, whole_at)
    return {**schema, "properties": cut}


def _without(node: dict[str, Any], key: str, whole_at: str) -> dict[str, Any]:
    values = node[key]
    what = {"enum": "One of", "x-training-values": "Training saw", "examples": "Examples:"}[key]
    sentence = f"{what} {len(values):,} values; all of them are in {whole_at}."
    kept = {name: value for name, value in node.items() if name not in (key, "description")}
    examples = [value for value in values[:_SHOWN_EXAMPLES] if value is not None and _size([value]) < MOST_VALUES]
    return {
        **kept,
        "description": " ".join(filter(None, [node.get("description"), sentence])),
        **({"examples": examples} if examples else {}),
    }


def _size(values: Sequence[Any]) -> int:
    """Characters, roughly; each value also has its marks around it."""
    return sum(20 + (len(value) if isinstance(value, str) else 10) for value in values)
