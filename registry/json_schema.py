"""Bring a JSON Schema of one record into the flat form that everything else reads. Pure.

The flat form is JSON Schema 2020-12: an object without further properties, each property a scalar with `type`
(a name, or a list with "null") and its limits. `$ref`, `anyOf: [X, null]` and nested annotations, as pydantic
writes them, are dissolved. Own annotations, which validators ignore:

- `x-dtype`: the pandas dtype of the training frame's column
- `x-missing`: "none" when the pipeline was fitted on None for missing values instead of NaN
- `x-training-range`: [smallest, largest] value seen in training; outside is a warning
- `x-training-usual`: [mean, standard deviation] in training; more than 4 deviations away is a warning
- `x-training-values`: values seen in training; another one is a warning
"""

from collections.abc import Iterable, Mapping
from typing import Any

from mlserve.errors import BadUpload

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SCALARS = frozenset({"number", "integer", "boolean", "string"})
_DATE_FORMATS = frozenset({"date", "date-time"})


def flat_record_schema(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The flat form of `raw`. Raises BadUpload with the property at fault."""
    record = _resolve(raw, raw)
    properties = record.get("properties")
    if record.get("type", "object") != "object" or not isinstance(properties, Mapping) or not properties:
        raise BadUpload('The schema must describe one record: {"type": "object", "properties": {…}}.')
    flat = {name: _flat_property(name, node, raw) for name, node in properties.items()}
    required = [name for name in record.get("required", ()) if name in flat]
    unknown = sorted(set(record.get("required", ())) - set(flat))
    if unknown:
        raise BadUpload(f"The schema requires {', '.join(unknown)}, which it does not describe.")
    return {
        "$schema": DIALECT,
        **{key: record[key] for key in ("title", "description") if record.get(key)},
        "type": "object",
        "properties": flat,
        "required": required,
        "additionalProperties": False,
    }


def in_column_order(schema: Mapping[str, Any], order: Iterable[str]) -> dict[str, Any]:
    """A copy of a flat schema with its properties in `order`."""
    names = list(order)
    return {
        **schema,
        "properties": {name: schema["properties"][name] for name in names},
        "required": [name for name in names if name in schema["required"]],
    }


def types_of(node: Mapping[str, Any]) -> tuple[str, bool]:
    """(type name, may be null) of a flat property."""
    declared = node["type"]
    names = [declared] if isinstance(declared, str) else list(declared)
    return next(name for name in names if name != "null"), "null" in names


def default_dtype(node: Mapping[str, Any]) -> str:
    """The dtype that `pandas.read_csv` would have given the column, unless `x-dtype` says otherwise."""
    if "x-dtype" in node:
        return str(node["x-dtype"])
    kind, nullable = types_of(node)
    if kind == "number" or (kind == "integer" and nullable):
        return "float64"
    if kind == "integer":
        return "int64"
    if kind == "boolean":
        return "object" if nullable else "bool"
    return "datetime64" if node.get("format") in _DATE_FORMATS else "str"


def example_value(node: Mapping[str, Any]) -> Any:
    """A plausible value of a property: its own example or default, else made from its limits."""
    for candidates in (node.get("examples"), [node["default"]] if "default" in node else None):
        if candidates:
            return candidates[0]
    kind, nullable = types_of(node)
    for key in ("enum", "x-training-values"):
        values = [value for value in node.get(key, ()) if value is not None]
        if values:
            return values[0]
    if kind == "boolean":
        return False
    if kind in ("number", "integer"):
        return _example_number(node, kind)
    if node.get("format") == "date":
        return "2026-01-31"
    if node.get("format") == "date-time":
        return "2026-01-31T12:00:00"
    return None if nullable else "text"


def example_record(schema: Mapping[str, Any]) -> dict[str, Any]:
    """One record that fits the schema as far as its limits tell."""
    return {name: example_value(node) for name, node in schema["properties"].items()}


def _example_number(node: Mapping[str, Any], kind: str) -> float | int:
    mean, _ = node.get("x-training-usual", (None, None))
    low, high = node.get("x-training-range", (mean, mean))
    low = node.get("minimum", node.get("exclusiveMinimum", low))
    high = node.get("maximum", node.get("exclusiveMaximum", high))
    if low is not None and high is not None:
        middle = (low + high) / 2
    else:
        middle = low if low is not None else high if high is not None else 0
        middle += ("exclusiveMinimum" in node) - ("exclusiveMaximum" in node)
    return int(middle) if kind == "integer" else round(float(middle), 2)


def _flat_property(name: str, node: Any, root: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(node, Mapping):
        raise BadUpload(f"The schema's column {name!r} must be an object.")
    flat = dict(_resolve(node, root))
    nullable = False
    for union in ("anyOf", "oneOf"):
        if union in flat:
            options = [_resolve(option, root) for option in flat.pop(union)]
            nullable = nullable or any(option.get("type") == "null" for option in options)
            scalars = [option for option in options if option.get("type") != "null"]
            flat = {**_merge_options(name, scalars), **flat}
    if len(flat.get("allOf", ())) == 1:
        flat = {**_resolve(flat.pop("allOf")[0], root), **flat}
    _settle_type(name, flat, nullable)
    return flat


def _merge_options(name: str, options: list[dict[str, Any]]) -> dict[str, Any]:
    if len(options) == 1:
        return options[0]
    kinds = {option.get("type") for option in options}
    if kinds == {"integer", "number"}:
        return {"type": "number"}
    raise BadUpload(f"The schema's column {name!r} allows several kinds of value; a column has one.")


def _settle_type(name: str, flat: dict[str, Any], nullable: bool) -> None:
    """Make `type`, and null in `enum`, say the same about a property."""
    if "const" in flat:
        flat["enum"] = [flat.pop("const")]
    declared = flat.get("type")
    names = [declared] if isinstance(declared, str) else list(declared or ())
    if not names and "enum" in flat:
        names = sorted({_json_type(value) for value in flat["enum"]})
    nullable = nullable or "null" in names
    scalars = [kind for kind in names if kind != "null"]
    if set(scalars) == {"integer", "number"}:
        scalars = ["number"]
    if len(scalars) != 1 or scalars[0] not in _SCALARS:
        what = " or ".join(scalars) or "not given"
        raise BadUpload(
            f"The schema's column {name!r} has the type {what}; a column is a number, integer, boolean or string."
        )
    flat["type"] = [scalars[0], "null"] if nullable else scalars[0]
    if "enum" in flat and nullable and None not in flat["enum"]:
        flat["enum"] = [*flat["enum"], None]


def _json_type(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    return "number" if isinstance(value, float) else "string"


def _resolve(node: Mapping[str, Any], root: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    """`node` with a local `$ref` followed; siblings of the reference win over what it points at."""
    reference = node.get("$ref")
    if reference is None:
        return dict(node)
    target: Any = root
    for part in str(reference).removeprefix("#/").split("/"):
        target = target.get(part) if isinstance(target, Mapping) else None
    if not str(reference).startswith("#/") or not isinstance(target, Mapping) or depth > 20:
        raise BadUpload(f"The schema's reference {reference!r} cannot be followed; only local ones can.")
    return {**_resolve(target, root, depth + 1), **{key: value for key, value in node.items() if key != "$ref"}}
