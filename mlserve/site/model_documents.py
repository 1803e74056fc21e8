"""What the OpenAPI document says of one model: its operation, its record, its result. Pure.

Code generators name classes by titles and make members of values, so that no two may become the same identifier.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlserve.site.identifiers import apart, are_apart, in_pascal_case
from registry.schema.flattening import types_of
from registry.schema.options import any_of, shown

_REFERENCE = "#/components/schemas/"
# A generator makes a type of each.
_MOST_ALTERNATIVES = 50
_MOST_SHOWN = 12
# Of patterns; in those of ECMA-262 nothing else may be escaped.
_SYNTAX, _ESCAPED = re.compile(r"[\\^$.*+?()\[\]{}|]"), r"\\\g<0>"


@dataclass(frozen=True)
class Described:
    """A live version as the document needs it. `record` and `result` are JSON Schemas, without long lists."""

    name: str
    label: str
    description: str
    tag: str
    outputs: Sequence[str]
    record: Mapping[str, Any]
    result: Mapping[str, Any]
    example: Mapping[str, Any]


def components_of(model: Described, identifier: str, prediction: Mapping[str, Any]) -> dict[str, Any]:
    """The schemas of its record, its result and its prediction, which is the general one with that result."""
    record, result, own = (f"{in_pascal_case(identifier)}{what}" for what in ("Record", "Result", "Prediction"))
    title = str(model.record.get("title", ""))
    said = [model.record.get("description"), f"One record for {model.label}{f' ({title})' if title else ''}."]
    answered = {"anyOf": [{"$ref": f"{_REFERENCE}{result}"}, {"type": "null"}]}
    return {
        record: {
            **{key: value for key, value in model.record.items() if key not in ("$schema", "additionalProperties")},
            "title": record,
            "description": " ".join(filter(None, reversed(said))),
            **_columns(model.record),
        },
        result: {**_generated(model.result), "title": result},
        own: {**prediction, "title": own, "properties": {**prediction["properties"], "result": answered}},
    }


def operation_of(model: Described, identifier: str, parameters: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """POST `/api/models/<name>/predict`. `parameters` are those of the general operation."""
    pascal = in_pascal_case(identifier)
    record = {"$ref": f"{_REFERENCE}{pascal}Record"}
    examples = {
        "one": {"summary": "One record", "value": model.example},
        "several": {"summary": "Several records", "value": [model.example, model.example]},
    }
    body = {"anyOf": [record, {"type": "array", "items": record, "minItems": 1}]}
    return {
        "operationId": f"predict_{identifier}",
        "summary": f"Predict with {model.label} (live version {model.tag})",
        **({"description": model.description} if model.description else {}),
        "tags": [model.name],
        "parameters": [_parameter(each, model.outputs) for each in parameters if each["in"] != "path"],
        "requestBody": {"required": True, "content": {"application/json": {"schema": body, "examples": examples}}},
        "responses": {
            "200": _response("The finished prediction.", f"{pascal}Prediction"),
            "202": _response("Accepted; poll the url.", "Accepted"),
        },
    }


def _parameter(general: Mapping[str, Any], outputs: Sequence[str]) -> dict[str, Any]:
    if general["name"] != "outputs":
        return dict(general)
    one = f"({'|'.join(outputs)})"
    schema = {"type": "string", "pattern": f"^{one}(,{one})*$"}
    words = f"Comma-separated: {', '.join(outputs)}."
    return {**general, "schema": schema, "example": ",".join(outputs), "description": words}


def _response(description: str, schema: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"{_REFERENCE}{schema}"}}}
    return {"description": description, "content": content}


def _columns(record: Mapping[str, Any]) -> dict[str, Any]:
    """The columns as properties; those whose names would meet (`a b` and `a-b`) by pattern, which generators pass over.

    Validators accept the same; generated classes take such columns as further ones.
    """
    made = {name: _column(name, node) for name, node in record["properties"].items()}
    further = record.get("additionalProperties", False)
    members = set(apart(list(made)))
    if len(members) == len(made):
        return {"properties": made, "additionalProperties": further}
    return {
        "properties": {name: node for name, node in made.items() if name in members},
        "patternProperties": {
            f"^{_SYNTAX.sub(_ESCAPED, name)}$": node for name, node in made.items() if name not in members
        },
        "unevaluatedProperties": further,
    }


def _column(name: str, node: Mapping[str, Any]) -> dict[str, Any]:
    """A column's node. Its title is for people, and generators would name types by it."""
    kept = {key: value for key, value in node.items() if key != "title"}
    title = str(node.get("title", ""))
    if title and not kept.get("description") and title.lower().replace(" ", "_") != name.lower():
        kept["description"] = title
    return _generated(kept)


def _generated(node: Mapping[str, Any]) -> dict[str, Any]:
    """A node, and those below it, that accepts the same values, in words that generators understand."""
    made = dict(node)
    if "properties" in made:
        named = {name: _generated(each) for name, each in made["properties"].items()}
        made["properties"] = named
        if not are_apart(list(named)):
            made = _by_name(made, named)
    for key in ("anyOf", "items"):
        if isinstance(made.get(key), list):
            made[key] = [_generated(each) for each in made[key]]
        elif isinstance(made.get(key), Mapping):
            made[key] = _generated(made[key])
    return _with_alternatives(made) if "enum" in made else made


def _by_name(made: dict[str, Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """`<=50K` and `>50K` would be one member of a class, so they are the keys of a mapping."""
    kept = {key: value for key, value in made.items() if key not in ("properties", "required")}
    return {**kept, "propertyNames": {"enum": list(named)}, "additionalProperties": next(iter(named.values()))}


def _with_alternatives(node: dict[str, Any]) -> dict[str, Any]:
    """An enum whose values become different members of an enumeration is left as it is."""
    kind, is_nullable = types_of(node)
    values = [value for value in node["enum"] if value is not None]
    if kind == "string" and all(isinstance(value, str) for value in values) and _are_members(values):
        return node
    if kind in ("integer", "number") and all(type(value) is int for value in values):
        return node
    kept = {key: value for key, value in node.items() if key != "enum"}
    if kind == "string" and len(values) <= _MOST_ALTERNATIVES:
        alternatives: list[dict[str, Any]] = [{"const": value} for value in values]
        return {**{key: value for key, value in kept.items() if key != "type"},
                "anyOf": alternatives + ([{"type": "null"}] if is_nullable else [])}  # fmt: skip
    more = f" and {len(values) - _MOST_SHOWN:,} more" if len(values) > _MOST_SHOWN else ""
    said = f"One of {any_of([shown(value) for value in values[:_MOST_SHOWN]])}{more}." if values else ""
    return {**kept, "description": " ".join(filter(None, [node.get("description"), said]))}


def _are_members(values: Sequence[str]) -> bool:
    """Generators count the values that begin with no letter."""
    names = [value if value[:1].isalpha() else f"value_{position}" for position, value in enumerate(values)]
    return are_apart(names)
