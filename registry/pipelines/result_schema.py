"""The JSON Schema of a version's result, from what its pipeline answered at its inspection. Pure.

It says what the answers of the sample looked like, with all labels of a classifier. Where nothing was answered, it
allows anything.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from registry.pipelines.outputs import RESULT_NAMES
from registry.schema.long_lists import MOST_VALUES

_SHARE = {"type": "number", "minimum": 0, "maximum": 1}
_TYPES = {bool: "boolean", int: "number", float: "number", str: "string", type(None): "null"}


def result_schema(outputs: Iterable[str], class_labels: Any, answers: Mapping[str, Any]) -> dict[str, Any]:
    """`class_labels` are a list, of several outputs a list of lists, and None of a regressor. `answers` are lists by
    the names that a result has for the outputs.
    """
    offered = {RESULT_NAMES[name]: answers.get(RESULT_NAMES[name]) or [] for name in outputs}
    properties: dict[str, dict[str, Any]] = {
        name: {"type": "array", "items": _item(name, values, class_labels)} for name, values in offered.items()
    }
    properties.setdefault("predictions", {"type": "array", "items": {}})
    shares = properties.get("probabilities")
    properties["probabilities"] = {"anyOf": [shares, {"type": "null"}]} if shares else {"type": "null"}
    return {"type": "object", "properties": properties, "required": ["predictions", "probabilities"]}


def _item(name: str, values: Sequence[Any], class_labels: Any) -> dict[str, Any]:
    if name == "probabilities":
        return _shares(values)
    return _answer(values, class_labels if name == "predictions" else None)


def _answer(values: Sequence[Any], labels: Any) -> dict[str, Any]:
    if any(isinstance(value, list) for value in values):
        parts = [part for value in values if isinstance(value, list) for part in value]
        return {"type": "array", "items": _answer(parts, None)}
    if labels and _are_all_of(values, labels):
        kinds = {type(label) for label in labels}
        kind = "integer" if kinds == {int} else _TYPES[kinds.pop()] if len(kinds) == 1 else None
        is_listed = kind in ("integer", "string") and len(labels) <= MOST_VALUES
        return {**({"type": kind} if kind else {}), **({"enum": list(labels)} if is_listed else {})}
    types = sorted({_TYPES[type(value)] for value in values if type(value) in _TYPES})
    return {"type": types[0] if len(types) == 1 else types} if types else {}


def _are_all_of(values: Sequence[Any], labels: Any) -> bool:
    """Whether the answers are labels: not where each label has a nought or a one, or the last step is no classifier."""
    return (
        isinstance(labels, list) and not any(isinstance(label, list) for label in labels) and set(values) <= set(labels)
    )


def _shares(values: Sequence[Any]) -> dict[str, Any]:
    """An object with a share for each class; of several outputs a list of such objects."""
    if any(isinstance(value, list) for value in values):
        return {"type": "array", "items": {"type": "object", "additionalProperties": _SHARE}}
    labels = list(values[0]) if values and isinstance(values[0], Mapping) else []
    if not labels or len(labels) > MOST_VALUES:
        return {"type": "object", "additionalProperties": _SHARE}
    return {"type": "object", "properties": dict.fromkeys(labels, _SHARE), "required": labels}
