"""The sources of a record schema, beside a pydantic class: a JSON Schema file, and the pipeline with the sample."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlserve.errors import BadUpload
from registry.pipelines.calls import leaves
from registry.pipelines.frames import label_text
from registry.schema import privacy
from registry.schema.flattening import DIALECT, types_of
from registry.schema.json_files import read_json
from registry.schema.record import Container, RecordSchema, Row

# The range of fewer rows would cause warnings about usual values.
_ROWS_FOR_A_RANGE = 50
# Annotations from the fitted pipeline, which take precedence over the range of the sample.
_KNOWN_VALUES = frozenset({"enum", "x-training-values", "x-training-range", "x-training-usual"})


def from_json_file(path: Path) -> dict[str, Any]:
    """A JSON Schema file. Raises BadUpload."""
    try:
        loaded = read_json(path.read_text("utf-8-sig"))
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

    A first step that does not record names (a custom transformer) also gets a frame: it can make an array of
    a frame, but not the reverse.
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
                f"The schema has {_listed(unknown)}, which the pipeline was not trained on. "
                f"Its columns: {_listed(names)}."
            )
        order = [name for name in names if name in schema.properties]
        schema = RecordSchema.from_json_schema(raw, order=order, container=container)
    elif container == "array" and len(schema.names) != pipeline.n_features_in_:
        raise BadUpload(
            f"The schema has {len(schema.names)} columns, but the pipeline was trained on {pipeline.n_features_in_}."
        )
    known = _properties_of(pipeline, schema.names, sample)
    annotated = {name: {**_annotations_for(node, known[name]), **node} for name, node in schema.properties.items()}
    return RecordSchema.from_json_schema({**schema.json_schema, "properties": annotated}, container=container)


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
        raise BadUpload("The pipeline does not name its columns. Give a schema, or sample rows.")
    known = _properties_of(pipeline, names, sample)
    properties = {name: _with_sample(known[name], [row.get(name) for row in sample]) for name in names}
    required = [name for name, node in properties.items() if "null" not in node["type"]]
    raw = {"$schema": DIALECT, "type": "object", "properties": properties, "required": required}
    return RecordSchema.from_json_schema(raw, container=container_of(pipeline))


def _annotations_for(node: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """The annotations from training that fit the type of value that the schema allows.

    A redacted column gets no training values: schemas may be public, and the values are personal data.
    """
    is_numeric = types_of(node)[0] in ("number", "integer")
    keys = {"x-training-range", "x-training-usual"} if is_numeric else set()
    values = known.get("x-training-values")
    is_shown = "enum" not in node and not privacy.marks_of({"": node})
    if is_shown and values and (_type_of_values(values) == "number") == is_numeric:
        keys.add("x-training-values")
    return {key: value for key, value in known.items() if key in keys}


def _properties_of(pipeline: Any, names: Sequence[str], sample: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """What the fitted steps and a large sample say about each column, as parts of a JSON Schema property."""
    known: dict[str, dict[str, Any]] = {name: {} for name in names}
    for step, columns, is_raw in leaves(pipeline, names):
        for position, name in enumerate(columns):
            for key, value in _facts(step, position, len(columns)).items():
                # After a step that changes values, all that is known is whether a value may be missing.
                if name in known and (is_raw or key == "nullable"):
                    known[name].setdefault(key, value)
    if len(sample) >= _ROWS_FOR_A_RANGE:
        for name, node in known.items():
            present = [row[name] for row in sample if row.get(name) is not None]
            is_numeric = bool(present) and _type_of_values(present) == "number" and not isinstance(present[0], bool)
            if is_numeric and node.get("type", "number") == "number" and _KNOWN_VALUES.isdisjoint(node):
                node["x-training-range"] = [float(min(present)), float(max(present))]
    return known


def _facts(step: Any, position: int, width: int) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for read in (_read_encoder, _read_imputer, _read_range):
        facts = {**read(step, position, width), **facts}
    return facts


def _read_encoder(step: Any, position: int, width: int) -> dict[str, Any]:
    categories = getattr(step, "categories_", None)
    if categories is None or len(categories) != width:
        return {}
    values = [value for value in categories[position].tolist() if not _is_missing(value)]
    facts: dict[str, Any] = {}
    if len(values) < len(categories[position]):
        facts["nullable"] = True
    if not all(isinstance(value, str | bool | int | float) for value in values):
        return facts  # dates and other objects, which JSON does not have
    # An encoder that raises on unknown values allows only these. One that ignores unknown values, as those without the
    # option do (TargetEncoder), also allows others.
    is_tolerant = getattr(step, "handle_unknown", "ignore") != "error"
    facts["x-training-values" if is_tolerant else "enum"] = values
    facts["type"] = _type_of_values(values)
    return facts


def _read_imputer(step: Any, position: int, width: int) -> dict[str, Any]:
    if not type(step).__module__.startswith("sklearn.impute."):
        return {}
    missing = getattr(step, "missing_values", np.nan)
    facts: dict[str, Any] = {"nullable": True} if _is_missing(missing) else {}
    if missing is None:
        facts["x-missing"] = "none"
    statistics = getattr(step, "statistics_", None)
    if statistics is not None and len(statistics) == width:
        facts["type"] = _type_of_values([statistics[position]])
    return facts


def _read_range(step: Any, position: int, width: int) -> dict[str, Any]:
    lows, highs = getattr(step, "data_min_", None), getattr(step, "data_max_", None)
    if lows is not None and highs is not None and len(lows) == width:
        return _numeric("x-training-range", float(lows[position]), float(highs[position]))
    edges = getattr(step, "bin_edges_", None)
    if edges is not None and len(edges) == width:
        return _numeric("x-training-range", float(edges[position][0]), float(edges[position][-1]))
    means, variances = getattr(step, "mean_", None), getattr(step, "var_", None)
    if means is not None and variances is not None and len(means) == width:
        return _numeric("x-training-usual", float(means[position]), float(variances[position]) ** 0.5)
    return {}


def _numeric(annotation: str, *values: float) -> dict[str, Any]:
    """The annotation, unless it is NaN, as for a column without any value in training."""
    return {"type": "number", **({annotation: list(values)} if all(map(math.isfinite, values)) else {})}


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value))


def _type_of_values(values: Sequence[Any]) -> str:
    plain = [value.item() if isinstance(value, np.generic) else value for value in values]
    if all(isinstance(value, bool) for value in plain):
        return "boolean"
    if all(isinstance(value, int | float) for value in plain):
        return "number"
    return "string"


def _with_sample(known: dict[str, Any], values: list[Any]) -> dict[str, Any]:
    """A property with what the pipeline says and, where it says nothing, with the type of the sample's values."""
    present = [value for value in values if value is not None]
    node = dict(known)
    nullable = node.pop("nullable", False) or len(present) < len(values)
    kind = node.get("type") or (_type_of_values(present) if present else "number")
    node["type"] = [kind, "null"] if nullable else kind
    return node


def _listed(names: Sequence[str], most: int = 20) -> str:
    shown = ", ".join(label_text(name) for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
