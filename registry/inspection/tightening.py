"""A schema that refuses what the pipeline was seen to fail on. Pure."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from registry.schema.flattening import types_of
from registry.schema.record import RecordSchema, Row

# `value`: a choice or a limit, which is no reason to refuse the others.
Kind = Literal["null", "absent", "unseen", "empty", "value"]
Refused = set[tuple[Kind, str]]


def tighten(schema: RecordSchema, rows: Sequence[Row], failed: Refused) -> tuple[RecordSchema, Refused]:
    """The schema without what failed, by kind and column, and what it refuses now.

    It goes on allowing what stands in the sample rows, which were predicted.
    """
    refused: Refused = set()
    properties, required = {}, set(schema.json_schema["required"])
    for name, node in schema.properties.items():
        for kind, change in _CHANGES.items():
            if (kind, name) in failed and not _is_in_sample(kind, name, node, rows):
                node = change(node)  # noqa: PLW2901 - one change after the other
                refused.add((kind, name))
        if ("null", name) in refused and "default" not in node:
            refused.add(("absent", name))
        if ("absent", name) in refused:
            required.add(name)
        properties[name] = node
    raw = {**schema.json_schema, "properties": properties, "required": [*required]}
    return _with_dtypes_of(schema, raw), refused


def _is_in_sample(kind: Kind, name: str, node: Mapping[str, Any], rows: Sequence[Row]) -> bool:
    if kind == "absent":
        return any(name not in row for row in rows)
    seen = [row.get(name, node.get("default")) for row in rows]
    if kind == "unseen":
        return any(value is not None and value not in node["x-training-values"] for value in seen)
    return (None if kind == "null" else "") in seen


def _with_dtypes_of(schema: RecordSchema, raw: dict[str, Any]) -> RecordSchema:
    """`raw` with the dtypes in which the answers were compared, which may depend on what can be missing."""
    tightened = RecordSchema.from_json_schema(raw, order=schema.names, container=schema.container)
    pinned = {
        before.name: {**raw["properties"][before.name], "x-dtype": before.dtype}
        for before, after in zip(schema.columns, tightened.columns, strict=True)
        if before.dtype != after.dtype
    }
    changed = {**raw, "properties": {**raw["properties"], **pinned}}
    return RecordSchema.from_json_schema(changed, order=schema.names, container=schema.container)


def _not_nullable(node: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in node.items() if not (key == "default" and value is None)}
    if "enum" in kept:
        kept["enum"] = [value for value in kept["enum"] if value is not None]
    return {**kept, "type": types_of(node)[0]}


def _without_default(node: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in node.items() if key != "default"}


def _only_known(node: dict[str, Any]) -> dict[str, Any]:
    """`x-training-values` as the only values that the column takes."""
    kept = {key: value for key, value in node.items() if key != "x-training-values"}
    nulls = [None] if types_of(node)[1] else []
    return {**kept, "enum": [*(value for value in node["x-training-values"] if value is not None), *nulls]}


def _not_empty(node: dict[str, Any]) -> dict[str, Any]:
    return {**node, "minLength": 1}


_CHANGES: Mapping[Kind, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "null": _not_nullable,
    "absent": _without_default,
    "unseen": _only_known,
    "empty": _not_empty,
}
