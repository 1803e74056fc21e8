"""MLflow's signature as a JSON Schema of one record. Pure.

https://mlflow.org/docs/latest/ml/model/signatures/ : a list of columns, or of tensors, in the order of the training.
MLflow makes it from an example, often of a few rows: its types are those of the frame, but `required` only says that
the example had no gap there.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from registry.bundles.errors import OF_A_STRANGER, UnusableBundle, listed

# What the signature's types are in a record. A `float` is float32, an `integer` int32 or smaller.
_TYPES: Mapping[str, dict[str, Any]] = {
    "long": {"type": "integer"},
    "integer": {"type": "integer"},
    "double": {"type": "number"},
    "float": {"type": "number", "x-dtype": "float32"},
    "string": {"type": "string"},
    "boolean": {"type": "boolean"},
    "datetime": {"type": "string", "format": "date-time"},
}
# Marks a schema that the inspection completes with what the fitted pipeline knows (registry/sources/signatures.py).
MARK = "x-made-from"
MARK_OF_MLFLOW = "an MLflow signature"


@dataclass(frozen=True)
class Signature:
    """`schema` is None when the columns have no names: tensors, and lists of plain values."""

    schema: dict[str, Any] | None
    names: tuple[str, ...] = ()
    params: tuple[str, ...] = ()


def read_signature(stored: Any) -> Signature | None:
    """The `signature` of an MLmodel; None when there is none. Raises UnusableBundle."""
    if not isinstance(stored, Mapping):
        return None
    inputs, params = _list(stored.get("inputs")), _list(stored.get("params"))
    if inputs is None:
        return None
    named = tuple(str(each.get("name")) for each in params or ())
    if any(each.get("type") == "tensor" or "name" not in each for each in inputs) or not inputs:
        return Signature(None, params=named)
    names = tuple(str(each["name"]) for each in inputs)
    if len(set(names)) < len(names):
        raise UnusableBundle("The signature names a column twice.", _GIVE_A_SCHEMA)
    properties = {name: _property(name, each) for name, each in zip(names, inputs, strict=True)}
    schema = {
        "type": "object",
        MARK: MARK_OF_MLFLOW,
        "properties": properties,
        "required": [name for name, each in zip(names, inputs, strict=True) if _is_required(each)],
    }
    return Signature(schema, names, named)


_GIVE_A_SCHEMA = "Give a schema of your own with the upload (a pydantic class or JSON Schema); it takes its place."


def _list(text: Any) -> list[dict[str, Any]] | None:
    """MLflow writes JSON into the YAML."""
    if not isinstance(text, str) or text in ("", "null", "~"):
        return None
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnusableBundle(f"The signature in MLmodel is not JSON ({error}).", OF_A_STRANGER) from error
    if parsed is None:
        return None
    if not isinstance(parsed, list) or not all(isinstance(each, dict) for each in parsed):
        raise UnusableBundle("The signature in MLmodel is not a list of columns.", _GIVE_A_SCHEMA)
    return parsed


def _property(name: str, column: dict[str, Any]) -> dict[str, Any]:
    kind = column.get("type")
    node = _TYPES.get(kind) if isinstance(kind, str) else None
    if node is None:
        raise UnusableBundle(
            f"The signature's column {listed([name])} has the type {listed([str(kind)])}; a column of a record is a "
            "number, text, boolean or date.",
            f"Let the pipeline take a text or numbers instead. If it does: {_GIVE_A_SCHEMA}",
        )
    return dict(node) if _is_required(column) else {**node, "type": [node["type"], "null"]}


def _is_required(column: dict[str, Any]) -> bool:
    # Models from before MLflow 2.6 say `optional` instead.
    return column.get("required", not column.get("optional", False)) is not False
