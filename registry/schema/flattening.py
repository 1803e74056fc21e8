"""Bring a JSON Schema of one record into the flat form that everything else reads. Pure.

The flat form is JSON Schema 2020-12: an object without further properties (or, where it says so, with some that are
ignored), each property a scalar with `type` (a name, or a list with "null") and its limits. `$ref`, `anyOf: [X, null]`
and nested annotations, as pydantic writes them, are resolved. Own annotations, which validators ignore:

- `x-dtype`: the pandas dtype of the training frame's column
- `x-missing`: what the pipeline was fitted on for missing values, where that is not NaN: "none", "na" (pandas.NA) or
  {"value": …}
- `x-training-range`: [smallest, largest] value seen in training; outside is a warning
- `x-training-usual`: [mean, standard deviation] in training; more than 4 deviations from the mean is a warning
- `x-training-values`: values seen in training; another one is a warning
- `x-ignored` (of the record): the columns that the pipeline drops, each with its position in the training data
- `x-stored`: "no" or "hashed" for a redacted column (registry/schema/privacy.py)
"""

import math
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import jsonschema_rs

from mlserve.errors import BadUpload
from registry.schema.json_files import require_finite
from registry.schema.privacy import MARK_KEY, require_mark

DIALECT = "https://json-schema.org/draft/2020-12/schema"
IGNORED_KEY = "x-ignored"
_SCALARS = frozenset({"number", "integer", "boolean", "string"})
_DATE_FORMATS = frozenset({"date", "date-time"})
_MOST_NESTED = 20
# In characters. A schema may require a text that is longer than the memory, and nobody can give that anyway.
_LONGEST_EXAMPLE = 10_000
# pydantic writes these names for `int | float = Field(ge=0)`. No validator knows them, so the limit would be lost.
_PYDANTIC_LIMITS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
# How pydantic writes a decimal that comes as text. JSON has numbers for it.
_DECIMAL = r"^(?!^[-+.]*$)[+-]?0*"
# Keys in which the options of a union may differ although they describe the same values.
_IGNORED_KEYS = frozenset({"type", "title", "description"})
_TWO_NUMBERS = ("x-training-range", "x-training-usual")
# NumPy's own integers and booleans have no missing value; None would become False or an error.
NEVER_MISSING = re.compile(r"u?int\d+|bool")


def flat_record_schema(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The flat form of `raw`. Raises BadUpload with the property at fault."""
    _require_valid(raw)
    record = _resolve(raw, raw)
    properties = record.get("properties")
    if record.get("type", "object") != "object" or not isinstance(properties, Mapping) or not properties:
        raise BadUpload('The schema must describe one record: {"type": "object", "properties": {…}}.')
    if "" in properties:
        raise BadUpload(
            'The schema has a column without a name (""), which no form and no CSV file can give. Name it in the '
            "training data, or drop it there: it is usually an index that was saved as a column."
        )
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
        # True: columns that the model does not have are ignored. A schema for them is not looked at: they are refused.
        "additionalProperties": record.get("additionalProperties") in (True, {}),
        **_ignored(record, flat),
    }


def in_column_order(schema: Mapping[str, Any], order: Iterable[str]) -> dict[str, Any]:
    """A copy of a flat schema with its properties in `order`."""
    names = list(order)
    return {
        **schema,
        "properties": {name: schema["properties"][name] for name in names},
        "required": [name for name in names if name in schema["required"]],
    }


def _ignored(record: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    ignored = record.get(IGNORED_KEY, {})
    is_right = isinstance(ignored, Mapping) and all(type(each) is int and each >= 0 for each in ignored.values())
    if not is_right or not inputs.keys().isdisjoint(ignored):
        raise BadUpload(f"The schema's {IGNORED_KEY} must give the position of each column that is not an input.")
    return {IGNORED_KEY: dict(ignored)} if ignored else {}


def types_of(node: Mapping[str, Any]) -> tuple[str, bool]:
    """(type name, may be null) of a flat property."""
    declared = node["type"]
    names = [declared] if isinstance(declared, str) else list(declared)
    return next(name for name in names if name != "null"), "null" in names


def column_dtype(schema: Mapping[str, Any], name: str) -> str:
    """The dtype of a column of a flat schema. Raises BadUpload when it may be missing and its `x-dtype` cannot be."""
    node = schema["properties"][name]
    may_be_absent = name not in schema["required"] and node.get("default") is None
    may_be_missing = may_be_absent or types_of(node)[1]
    dtype = default_dtype(node, may_be_missing=may_be_missing)
    if may_be_missing and NEVER_MISSING.fullmatch(dtype):
        raise BadUpload(
            f"The schema's column {name!r} may be missing, which the dtype {dtype} cannot hold. Require the column "
            "and no null, or give it the x-dtype of a nullable kind (Int64, boolean, float64)."
        )
    return dtype


def default_dtype(node: Mapping[str, Any], *, may_be_missing: bool = False) -> str:
    """The dtype that `pandas.read_csv` would have given the column, unless `x-dtype` says otherwise."""
    if "x-dtype" in node:
        return str(node["x-dtype"])
    kind, nullable = types_of(node)
    nullable = nullable or may_be_missing
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
    return None if nullable else _example_text(node)


def example_record(schema: Mapping[str, Any]) -> dict[str, Any]:
    """One record that fits the schema as far as its limits tell."""
    return {name: example_value(node) for name, node in schema["properties"].items()}


def _example_number(node: Mapping[str, Any], kind: str) -> float | int:
    """A number near those of the training, else in the middle of the limits; within the limits if possible."""
    low = max((node[key] for key in ("minimum", "exclusiveMinimum") if key in node), default=None)
    high = min((node[key] for key in ("maximum", "exclusiveMaximum") if key in node), default=None)
    mean, _ = node.get("x-training-usual", (None, None))
    preferred = [_middle(*node["x-training-range"])] if "x-training-range" in node else []
    preferred += [mean] if mean is not None else []
    if low is not None and high is not None:
        preferred.append(_middle(low, high))
    preferred += [limit + step for limit in (low, high) if limit is not None for step in (0, 1, -1)] + [0]
    step = node.get("multipleOf", 1 if kind == "integer" else None)
    candidates = [each for number in preferred for each in _rounded(number, step)]
    fitting = next((value for value in candidates if _is_within(node, value)), candidates[0])
    return int(fitting) if kind == "integer" else float(fitting)


def _rounded(number: float, step: float | None) -> list[float]:
    """The nearest multiples of `multipleOf`, or without one the number rounded to two decimals, and itself."""
    if step is None:
        return [round(number, 2), number]
    count = number / step
    multiples = [math.floor(count) * step, math.ceil(count) * step] if math.isfinite(count) else []
    return [multiple for multiple in multiples if abs(multiple) <= sys.float_info.max] or [number]


def _middle(low: float, high: float) -> float:
    return low / 2 + high / 2  # the sum may be infinite


def _is_within(node: Mapping[str, Any], value: float) -> bool:
    return (
        value >= node.get("minimum", value)
        and value <= node.get("maximum", value)
        and ("exclusiveMinimum" not in node or value > node["exclusiveMinimum"])
        and ("exclusiveMaximum" not in node or value < node["exclusiveMaximum"])
    )


def _example_text(node: Mapping[str, Any]) -> str:
    length = min(node.get("minLength", 0), _LONGEST_EXAMPLE)
    text: str = "text" * max(1, math.ceil(length / 4))
    return text[: node.get("maxLength")]


def _require_valid(raw: Mapping[str, Any]) -> None:
    """Raise BadUpload for what is not a JSON Schema, such as a limit that is not a number."""
    try:
        require_finite(raw)
        jsonschema_rs.meta.validate(dict(raw))
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        where = "/".join(map(str, getattr(error, "instance_path", [])))
        reason = getattr(error, "message", str(error))
        raise BadUpload(f"The schema is not a valid JSON Schema{f' at {where}' if where else ''}: {reason}.") from error


def _flat_property(name: str, node: Any, root: Mapping[str, Any]) -> dict[str, Any]:
    flat, nullable = _resolve_unions(name, node, root)
    _normalize_type(name, flat, nullable)
    # JSON Schema takes 10.0 for a whole number, and Python does not.
    flat |= {key: int(flat[key]) for key in ("minLength", "maxLength") if key in flat}
    _require_usable_annotations(name, flat)
    return flat


def _resolve_unions(name: str, node: Any, root: Mapping[str, Any], depth: int = 0) -> tuple[dict[str, Any], bool]:
    """(`node` without references, unions and a lone allOf, whether a union allowed null)."""
    if not isinstance(node, Mapping):
        raise BadUpload(f"The schema's column {name!r} must be described by an object, not by {node!r}.")
    if depth > _MOST_NESTED:
        raise BadUpload(f"The schema's column {name!r} is nested too deeply.")
    flat = {_PYDANTIC_LIMITS.get(key, key): value for key, value in _resolve(node, root).items()}
    nullable = False
    for union in ("anyOf", "oneOf"):
        if union in flat:
            options = [_resolve_unions(name, option, root, depth + 1) for option in flat.pop(union)]
            nullable = nullable or any(null or option.get("type") == "null" for option, null in options)
            flat = {**_merge_options(name, [each for each, _ in options if each.get("type") != "null"]), **flat}
    if len(flat.get("allOf", ())) == 1:
        only, null = _resolve_unions(name, flat.pop("allOf")[0], root, depth + 1)
        flat, nullable = {**only, **flat}, nullable or null
    return flat, nullable


def _merge_options(name: str, options: list[dict[str, Any]]) -> dict[str, Any]:
    if len(options) == 1:
        return options[0]
    if options and all("const" in option for option in options):
        marks = [option[MARK_KEY] for option in options if MARK_KEY in option]
        return {"enum": [option["const"] for option in options], **({MARK_KEY: marks[0]} if marks else {})}
    kinds = [{key: value for key, value in option.items() if key not in _IGNORED_KEYS} for option in options]
    first, *others = kinds or [{}]
    types = [str(option.get("type")) for option in options]
    if set(types) == {"integer", "number"} and all(each == first for each in others):
        return {"type": "number", **first}
    if set(types) == {"number", "string"} and str(options[types.index("string")].get("pattern")).startswith(_DECIMAL):
        return options[types.index("number")]
    raise BadUpload(
        f"The schema's column {name!r} allows several kinds of value; a column has one. Keep the one that the pipeline "
        "was trained on, and allow null (Optional) for a value that is not known."
    )


def _normalize_type(name: str, flat: dict[str, Any], nullable: bool) -> None:
    """Give a property one scalar type, and make `type` and `enum` agree on whether null is allowed."""
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


def _require_usable_annotations(name: str, flat: Mapping[str, Any]) -> None:
    """Raise BadUpload for an annotation of ours that could not be used when rows arrive."""
    is_numeric = types_of(flat)[0] in ("number", "integer")
    for annotation in _TWO_NUMBERS:
        if annotation in flat and not (is_numeric and _are_two_numbers(flat[annotation])):
            raise BadUpload(f"The schema's column {name!r}: {annotation} must be two numbers, on a column of numbers.")
    if not isinstance(flat.get("x-training-values", []), list):
        raise BadUpload(f"The schema's column {name!r}: x-training-values must be a list.")
    marker = flat.get("x-missing", "nan")
    if marker not in ("nan", "none", "na") and not (isinstance(marker, Mapping) and set(marker) == {"value"}):
        raise BadUpload(f'The schema\'s column {name!r}: x-missing must be "nan", "none", "na" or {{"value": …}}.')
    if not isinstance(flat.get("x-dtype", ""), str):
        raise BadUpload(f"The schema's column {name!r}: x-dtype must be the name of a pandas dtype.")
    require_mark(name, flat)


def _are_two_numbers(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(type(part) in (int, float) for part in value)


def _json_type(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    return "string" if isinstance(value, str) else "object"


def _resolve(node: Mapping[str, Any], root: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    """`node` with a local `$ref` followed; siblings of the reference win over what it points at."""
    reference = node.get("$ref")
    if reference is None:
        return dict(node)
    target: Any = root
    for part in str(reference).removeprefix("#/").split("/"):
        target = target.get(part) if isinstance(target, Mapping) else None
    if not str(reference).startswith("#/") or not isinstance(target, Mapping) or depth > _MOST_NESTED:
        raise BadUpload(f"The schema's reference {reference!r} cannot be followed; only local ones can.")
    return {**_resolve(target, root, depth + 1), **{key: value for key, value in node.items() if key != "$ref"}}
