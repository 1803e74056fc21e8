"""The three places a record schema comes from, in this order: a pydantic class, a JSON Schema, the pipeline.

Runs in the inspection's child process: a pydantic class is code of the uploader's.
"""

import importlib.util
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from mlserve.errors import BadUpload
from registry.frames import label_text
from registry.json_schema import DIALECT
from registry.pipelines import leaves
from registry.schema import Container, RecordSchema, Row

DEFAULT_CLASS = "RawData"
# The smallest and largest of fewer rows would warn of perfectly usual values.
_ROWS_FOR_A_RANGE = 50


def from_pydantic(path: Path, class_name: str) -> dict[str, Any]:
    """The JSON Schema of `class_name` in the Python file at `path`, which is executed. Raises BadUpload."""
    spec = importlib.util.spec_from_file_location("uploaded_validation", path)
    if spec is None or spec.loader is None:
        raise BadUpload(f"{path.name} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # pydantic looks up annotations through it
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the file is the uploader's code, which may raise anything
        raise BadUpload(f"{path.name} cannot be executed ({type(error).__name__}: {error}).") from error
    found = getattr(module, class_name, None)
    if not (isinstance(found, type) and issubclass(found, BaseModel)):
        classes = [name for name, value in vars(module).items() if _is_own_model(value)]
        hint = f" It has {', '.join(classes)}." if classes else " It defines no pydantic class."
        raise BadUpload(f"{path.name} has no pydantic class {class_name!r}.{hint}")
    try:
        return found.model_json_schema(by_alias=True)
    except Exception as error:  # custom types and generators are the uploader's code, too
        raise BadUpload(f"{class_name} gives no JSON Schema ({type(error).__name__}: {error}).") from error


def from_json_file(path: Path) -> dict[str, Any]:
    """A JSON Schema file. Raises BadUpload."""
    try:
        loaded = json.loads(path.read_text("utf-8"))
    except (UnicodeDecodeError, ValueError) as error:
        raise BadUpload(f"{path.name} is not JSON: {error}.") from error
    if not isinstance(loaded, dict):
        raise BadUpload(f"{path.name} must hold a JSON Schema object.")
    return loaded


def feature_names(pipeline: Any) -> list[str] | None:
    """The columns of the frame that the pipeline was fitted on, or None when it was not a frame."""
    names = getattr(pipeline, "feature_names_in_", None)
    return None if names is None else [str(name) for name in names]


def container_of(pipeline: Any) -> Container:
    """Whether the pipeline was fitted on a frame or on an array.

    A first step that does not record names (a custom transformer) also gets a frame: it can always make an array
    of it, while the way back is closed.
    """
    if feature_names(pipeline) is None and getattr(pipeline, "n_features_in_", None) is not None:
        return "array"
    return "frame"


def explicit(raw: dict[str, Any], pipeline: Any, sample: Sequence[Row]) -> RecordSchema:
    """A written schema in the pipeline's column order, with what training saw added as annotations.

    Raises BadUpload when its columns are not the pipeline's.
    """
    container, names = container_of(pipeline), feature_names(pipeline)
    schema = RecordSchema.from_json_schema(raw, container=container)
    if names is not None:
        unknown = [name for name in schema.names if name not in names]
        if unknown:
            raise BadUpload(
                f"The schema has {_listed(unknown)}, which the pipeline was not trained on. Its columns: {_listed(names)}."
            )
        order = [name for name in names if name in schema.properties]
        schema = RecordSchema.from_json_schema(raw, order=order, container=container)
    elif container == "array" and len(schema.names) != pipeline.n_features_in_:
        raise BadUpload(
            f"The schema has {len(schema.names)} columns, but the pipeline was trained on {pipeline.n_features_in_}."
        )
    known = _properties_of(pipeline, schema.names, sample)
    noted = {
        name: {**{key: value for key, value in known[name].items() if key.startswith("x-training")}, **node}
        for name, node in schema.properties.items()
    }
    for node in noted.values():
        if "enum" in node:
            node.pop("x-training-values", None)
    return RecordSchema.from_json_schema({**schema.json_schema, "properties": noted}, container=container)


def from_pipeline(pipeline: Any, sample: Sequence[Row]) -> RecordSchema:
    """A schema read from the fitted pipeline and the sample rows. Raises BadUpload when neither names columns.

    Encoders give the values of a column, imputers whether it may be missing, scalers and discretisers its range.
    What custom transformers do stays unknown: such columns take their type from the sample.
    """
    names = feature_names(pipeline)
    if names is None:
        names = list(sample[0]) if sample else None
        count = getattr(pipeline, "n_features_in_", None)
        if names is not None and count is not None and len(names) != count:
            raise BadUpload(
                f"The sample has {len(names)} columns ({_listed(names)}), but the pipeline was trained on {count}."
            )
        if names is None and count is not None:
            names = [f"x{index}" for index in range(count)]
    if names is None:
        raise BadUpload("The pipeline does not tell its columns. Give a schema, or sample rows.")
    known = _properties_of(pipeline, names, sample)
    properties = {name: _with_sample(known[name], [row.get(name) for row in sample]) for name in names}
    required = [name for name, node in properties.items() if "null" not in node["type"]]
    raw = {"$schema": DIALECT, "type": "object", "properties": properties, "required": required}
    return RecordSchema.from_json_schema(raw, container=container_of(pipeline))


def _properties_of(pipeline: Any, names: Sequence[str], sample: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """What the fitted steps and a large sample tell about each column, as parts of a JSON Schema property."""
    known: dict[str, dict[str, Any]] = {name: {} for name in names}
    for step, columns in leaves(pipeline, names):
        for position, name in enumerate(columns):
            if name in known:
                for read in _READERS:
                    for key, value in read(step, position, len(columns)).items():
                        known[name].setdefault(key, value)
    if len(sample) >= _ROWS_FOR_A_RANGE:
        for name, node in known.items():
            numbers = [row[name] for row in sample if isinstance(row.get(name), int | float)]
            if node.get("type") == "number" and "enum" not in node and numbers:
                node.setdefault("x-training-range", [float(min(numbers)), float(max(numbers))])
    return known


def _read_encoder(step: Any, position: int, width: int) -> dict[str, Any]:
    categories = getattr(step, "categories_", None)
    if categories is None or len(categories) != width:
        return {}
    values = [value for value in categories[position].tolist() if value is not None and value == value]
    facts: dict[str, Any] = {}
    if len(values) < len(categories[position]):
        facts["nullable"] = True
    # An encoder that raises on an unknown value refuses it; one that ignores it merely knows nothing of it.
    tolerant = getattr(step, "handle_unknown", "error") != "error"
    facts["x-training-values" if tolerant else "enum"] = values
    facts["type"] = _type_of_values(values)
    return facts


def _read_imputer(step: Any, position: int, width: int) -> dict[str, Any]:
    statistics = getattr(step, "statistics_", None)
    if statistics is None or len(statistics) != width:
        return {"nullable": True} if type(step).__name__ == "KNNImputer" else {}
    facts: dict[str, Any] = {"nullable": True, "type": _type_of_values([statistics[position]])}
    if getattr(step, "missing_values", np.nan) is None:
        facts["x-missing"] = "none"
    return facts


def _read_range(step: Any, position: int, width: int) -> dict[str, Any]:
    lows, highs = getattr(step, "data_min_", None), getattr(step, "data_max_", None)
    if lows is not None and highs is not None and len(lows) == width:
        return {"x-training-range": [float(lows[position]), float(highs[position])], "type": "number"}
    edges = getattr(step, "bin_edges_", None)
    if edges is not None and len(edges) == width:
        return {"x-training-range": [float(edges[position][0]), float(edges[position][-1])], "type": "number"}
    means, variances = getattr(step, "mean_", None), getattr(step, "var_", None)
    if means is not None and variances is not None and len(means) == width:
        return {"x-training-usual": [float(means[position]), float(variances[position]) ** 0.5], "type": "number"}
    return {}


_READERS = (_read_encoder, _read_imputer, _read_range)


def _type_of_values(values: Sequence[Any]) -> str:
    plain = [value.item() if isinstance(value, np.generic) else value for value in values]
    if all(isinstance(value, bool) for value in plain):
        return "boolean"
    if all(isinstance(value, int | float) for value in plain):
        return "number"
    return "string"


def _with_sample(known: dict[str, Any], values: list[Any]) -> dict[str, Any]:
    """A property from what the pipeline tells and, where it is silent, from the sample's values."""
    present = [value for value in values if value is not None]
    node = dict(known)
    nullable = node.pop("nullable", False) or len(present) < len(values)
    kind = node.get("type") or (_type_of_values(present) if present else "number")
    node["type"] = [kind, "null"] if nullable else kind
    return node


def _listed(names: Sequence[str], most: int = 20) -> str:
    shown = ", ".join(label_text(name) for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
