"""A schema from an MLflow signature and the fitted pipeline together.

The signature knows the columns and their types in the training frame, but `required` only says that its example had no
gap, and it knows no categories. The pipeline knows those, and nothing about columns that no encoder or imputer touches.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mlserve.errors import BadUpload
from registry.bundles.signature import MARK, MARK_OF_MLFLOW
from registry.pipelines.containers import feature_names
from registry.schema.flattening import types_of
from registry.schema.record import RecordSchema, Row
from registry.sources.schemas import ReadSchema, explicit, from_pipeline, order_counts

# A value of each kind, to stand for what the signature says where the pipeline says nothing.
_VALUES: Mapping[str, Any] = {"integer": 1, "number": 0.5, "boolean": True, "string": "text"}


def is_signature(written: Mapping[str, Any]) -> bool:
    return written.get(MARK) == MARK_OF_MLFLOW


def source_of(written: Mapping[str, Any] | None) -> str:
    return "MLflow's signature and the pipeline" if written is not None and is_signature(written) else ""


def from_signature(written: Mapping[str, Any], pipeline: Any, sample: Sequence[Row]) -> ReadSchema:
    """Raises BadUpload when the signature's columns are not the pipeline's."""
    signature = RecordSchema.from_json_schema({key: value for key, value in written.items() if key != MARK})
    properties = signature.properties
    names = feature_names(pipeline)
    if names is not None and set(names) != set(signature.names):
        return explicit(signature.json_schema, pipeline, sample)
    typical = {name: _VALUES[types_of(node)[0]] for name, node in properties.items()}
    gaps = {name: None if types_of(node)[1] else typical[name] for name, node in properties.items()}
    try:
        known = from_pipeline(pipeline, [typical, gaps]).schema
    except BadUpload:
        # Its message is about a sample, which nobody gave; this one is about the columns of a schema.
        return explicit(signature.json_schema, pipeline, sample)
    completed = {name: _completed(node, properties.get(name)) for name, node in known.properties.items()}
    required = [name for name in known.json_schema["required"] if name in signature.json_schema["required"]]
    raw = {**known.json_schema, "properties": completed, "required": required}
    schema = RecordSchema.from_json_schema(raw, order=known.names, container=known.container)
    # Nothing is guessed, and of the made-up values nothing can be doubted.
    return ReadSchema(schema, (), order_counts(schema))


def _completed(known: dict[str, Any], said: dict[str, Any] | None) -> dict[str, Any]:
    """What the signature says more exactly than the pipeline: whole numbers, float32, dates."""
    if said is None or "enum" in known:
        return known
    (kind, nullable), (exact, _) = types_of(known), types_of(said)
    if kind == "number" and exact == "integer":
        return {**known, "type": ["integer", "null"] if nullable else "integer"}
    if kind == exact and "x-training-values" not in known:
        return {**{key: said[key] for key in ("format", "x-dtype") if key in said}, **known}
    return known
