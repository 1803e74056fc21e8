"""The sources of a record schema, beside a pydantic class: a JSON Schema file, and the pipeline with the sample."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlserve.errors import BadUpload
from registry.pipelines.containers import FittedInput, fitted_input
from registry.pipelines.facts import Facts, Unreadable, column_facts, type_of_values
from registry.pipelines.frames import label_text
from registry.schema.flattening import DIALECT, IGNORED_KEY, types_of
from registry.schema.json_files import read_json
from registry.schema.record import RecordSchema, Row
from registry.sources.contradictions import MOST_EXACT, agreed, has_exact_floats, with_possible_dtype

# The range of fewer rows would cause warnings about usual values.
_ROWS_FOR_A_RANGE = 50
# How a moment ends that has an offset from UTC.
_OFFSET = re.compile(r":\d\d.*(Z|[+-]\d\d(:?\d\d)?)$")
_OF_NUMBERS = ("x-training-range", "x-training-usual")
# Annotations from the fitted pipeline, which take precedence over the range of the sample.
_KNOWN_VALUES = frozenset({"enum", "x-training-values", "x-training-range", "x-training-usual"})


@dataclass(frozen=True)
class ReadSchema:
    """A schema with what its reader could not be sure of: `guessed` columns, and `doubts` as sentences."""

    schema: RecordSchema
    guessed: tuple[str, ...] = ()
    doubts: tuple[str, ...] = field(default=())


def from_json_file(path: Path) -> dict[str, Any]:
    """A JSON Schema file. Raises BadUpload."""
    try:
        loaded = read_json(path.read_text("utf-8-sig"))
    except (UnicodeDecodeError, ValueError) as error:
        raise BadUpload(f"{path.name} is not JSON: {error}.") from error
    if not isinstance(loaded, dict):
        raise BadUpload(f"{path.name} must hold a JSON Schema object.")
    return loaded


def explicit(raw: dict[str, Any], pipeline: Any, sample: Sequence[Row]) -> ReadSchema:
    """A written schema in the pipeline's column order, with what training saw added as annotations.

    Raises BadUpload when its columns are not the pipeline's, or when it contradicts what the pipeline learned.
    """
    written = RecordSchema.from_json_schema(raw)
    fitted = fitted_input(pipeline, written.names)
    names = _require_columns_of(fitted, written)
    known = _facts_of(pipeline, fitted, sample)
    doubts: list[str] = []
    properties = {}
    for name in names:
        node = _with_zone(name, written.properties[name], known[name], [row.get(name) for row in sample])
        doubts += _rounded(name, node, known[name], sample)
        properties[name], found = agreed(name, node, known[name], is_required=_is_required(written, name))
        doubts += found
    ignored = {name: position for name, position in fitted.ignored.items() if name not in properties}
    whole = {**written.json_schema, "properties": properties, **({IGNORED_KEY: ignored} if ignored else {})}
    schema = RecordSchema.from_json_schema(whole, order=names, container=fitted.container)
    is_named = fitted.width is not None
    return ReadSchema(schema, (), (*doubts, *_two_gaps(known), *order_counts(schema, is_named=is_named)))


def from_pipeline(pipeline: Any, sample: Sequence[Row]) -> ReadSchema:
    """A schema read from the fitted pipeline and the sample rows. Raises BadUpload when neither names columns.

    Encoders give the values of a column and their dtype, imputers and the estimator whether it may be missing, scalers
    and discretisers its range. What custom transformers do stays unknown: the type of such columns is guessed from the
    sample.
    """
    given = list(dict.fromkeys(name for row in sample for name in row))
    fitted = fitted_input(pipeline, given)
    if fitted.inputs is None:
        raise BadUpload("The pipeline does not name its columns. Give a schema, or sample rows.")
    if fitted.container == "array" and sample and not set(given) <= set(fitted.names or ()):
        raise BadUpload(
            f"The sample has {len(given)} columns ({_listed(given)}), but the pipeline was trained on {fitted.width}."
        )
    if fitted.container == "texts" and len(fitted.inputs) != 1:
        raise BadUpload(f"{_TEXTS}, so a sample row has one column; this one has {_listed(given)}.")
    known = _facts_of(pipeline, fitted, sample)
    properties, guessed = {}, []
    for name in fitted.inputs:
        properties[name], is_guessed = _property(known[name], [row.get(name) for row in sample])
        guessed += [name] if is_guessed else []
    required = [
        name for name in fitted.inputs if known[name].get("must_be_given") or "null" not in properties[name]["type"]
    ]
    if fitted.container == "records":  # a key that is absent counts as nought
        required = [name for name in required if sample and all(name in row for row in sample)]
    raw = {"$schema": DIALECT, "type": "object", "properties": properties, "required": required}
    raw |= {IGNORED_KEY: fitted.ignored} if fitted.ignored else {}
    schema = RecordSchema.from_json_schema(raw, container=fitted.container)
    unseen = _unseen(schema, sample)
    order = order_counts(schema, is_named=fitted.width is not None) if given else ()
    return ReadSchema(schema, tuple(guessed), (*unseen, *_two_gaps(known), *order))


_TEXTS = "The pipeline was trained on a sequence of texts"


def _require_columns_of(fitted: FittedInput, written: RecordSchema) -> list[str]:
    """The written columns in the order of the training. Raises BadUpload for other ones than the pipeline's."""
    given = list(written.names)
    if fitted.container == "texts" and len(given) != 1:
        raise BadUpload(f"{_TEXTS}, so a record has one column; the schema has {_listed(given)}.")
    names = list(fitted.names or given)
    if fitted.container == "array" and not set(given) <= set(names):
        raise BadUpload(f"The schema has {len(given)} columns, but the pipeline was trained on {fitted.width}.")
    if unknown := [name for name in given if name not in names]:
        raise BadUpload(
            f"The schema has {_listed(unknown)}, which the pipeline was not trained on. Its columns: {_listed(names)}."
        )
    return [name for name in names if name in written.properties]


def _rounded(name: str, node: Mapping[str, Any], known: Facts, sample: Sequence[Row]) -> list[str]:
    """A doubt about whole numbers that a function would see as floats: to it, 1 and 1.0 may differ."""
    present = [row[name] for row in sample if row.get(name) is not None]
    is_whole = bool(present) and type_of_values(present) == "integer"
    if types_of(node)[0] != "number" or "x-dtype" in node or not (known.get("is_opaque") and is_whole):
        return []
    return [f"{name}: the sample has whole numbers, and a function gets floats. If training had integers, say so."]


def _with_zone(name: str, node: dict[str, Any], known: Facts, values: Sequence[Any]) -> dict[str, Any]:
    """A column of moments whose sample has offsets gets the zone UTC, as pandas gives it one. Raises BadUpload.

    Without an offset the moments of the training had none, and then no offset can be calculated with.
    """
    if node.get("format") != "date-time" or "x-dtype" in node or "x-dtype" in known:
        return node
    zoned = {_OFFSET.search(value) is not None for value in values if isinstance(value, str)}
    if len(zoned) > 1:
        raise BadUpload(
            f"In the sample, some times of the column {name!r} have an offset from UTC and others have none."
        )
    return {**node, "x-dtype": "datetime64[us, UTC]"} if True in zoned else node


def _is_required(schema: RecordSchema, name: str) -> bool:
    return name in schema.json_schema["required"] or schema.properties[name].get("default") is not None


def _two_gaps(known: Mapping[str, Facts]) -> tuple[str, ...]:
    """A doubt about columns in which training had two kinds of missing values, of which JSON has one."""
    names = [name for name, facts in known.items() if facts.get("has_two_gaps")]
    what = f"Training had None and NaN in {_listed(names)}, and the encoder tells them apart; null stands for None."
    return (what,) if names else ()


def order_counts(schema: RecordSchema, *, is_named: bool = True) -> tuple[str, ...]:
    """A doubt about columns that are named by something else than the pipeline."""
    if schema.container not in ("array", "frame") or len(schema.names) < 2:
        return ()
    order = _listed([column.name for column in schema.training_columns])
    if schema.container == "frame":
        unnamed = f"The pipeline does not name its columns, so their order may count. Here it is {order}."
        return () if is_named else (unnamed,)
    return (f"The pipeline was trained on an array, so the order of the columns counts. Here it is {order}.",)


def _unseen(schema: RecordSchema, sample: Sequence[Row]) -> tuple[str, ...]:
    """Columns of which the sample has values, and training saw none of them."""
    odd, rows = [], schema.with_days(list(sample))
    for name, node in schema.properties.items():
        present = {row[name] for row in rows if isinstance(row.get(name), str | int | float)}
        if node.get("x-training-values") and present and present.isdisjoint(node["x-training-values"]):
            odd.append(name)
    return (
        (f"Training saw none of the sample's values of {_listed(odd)}: to the pipeline, all are unknown.",)
        if odd
        else ()
    )


def _facts_of(pipeline: Any, fitted: FittedInput, sample: Sequence[Row]) -> dict[str, Facts]:
    """What the fitted steps and a large sample say about each column. Raises BadUpload."""
    try:
        known = {**column_facts(pipeline, fitted.names or ()), **fitted.facts}
    except Unreadable as error:
        raise BadUpload(f"The pipeline cannot be given JSON: {error}.") from error
    if len(sample) >= _ROWS_FOR_A_RANGE:
        for name, facts in known.items():
            present = [row[name] for row in sample if row.get(name) is not None]
            is_numeric = bool(present) and type_of_values(present) in ("integer", "number")
            if is_numeric and facts.get("type", "number") in ("integer", "number") and _KNOWN_VALUES.isdisjoint(facts):
                facts["x-training-range"] = [float(min(present)), float(max(present))]
    return known


def _property(known: Facts, values: list[Any]) -> tuple[dict[str, Any], bool]:
    """A property of what the pipeline says and, where it says nothing, of the sample; and whether it is a guess.

    A column that is only computed with gets floats, which no computation can tell from whole numbers that a float can
    hold. Larger ones stay whole, and such a column has no gaps: with them it would have been one of floats.
    """
    present = [value for value in values if value is not None]
    node = dict(known)
    takes_gaps, is_opaque = node.pop("nullable", False), node.pop("is_opaque", False)
    is_numeric = node.pop("numeric", False)
    node.pop("must_be_given", None)
    node.pop("has_two_gaps", None)
    seen = type_of_values(present) if present else None
    if seen == "boolean" and node.get("type") in ("integer", "number"):
        node = _as_booleans(node)
    is_guessed = "type" not in node and (seen == "string" or is_opaque or not is_numeric)
    # Whether a gap was None or NaN is no matter to a step that computes, and to a function it is.
    is_guessed = is_guessed or (is_opaque and len(present) < len(values) and "x-missing" not in node)
    # With a gap, whole numbers would become floats, which a function may tell from them.
    nullable = len(present) < len(values) or (takes_gaps and not is_guessed and not is_opaque)
    is_large = seen == "integer" and any(abs(value) > MOST_EXACT for value in present)
    if "type" not in node:
        is_computed = is_numeric and not is_opaque
        node["type"] = "number" if seen is None or (is_computed and seen == "integer" and not is_large) else seen
        node |= {"x-dtype": "uint64"} if is_large and max(present) >= 2**63 else {}
    if node["type"] in ("boolean", "string"):
        node = {key: value for key, value in node.items() if key not in _OF_NUMBERS and value != "float32"}
    if is_numeric and node["type"] == "boolean" and nullable and "x-missing" not in node:
        node |= {"x-dtype": "float64"}
    nullable = nullable and has_exact_floats(node) and not (is_large and node["type"] == "integer")
    return with_possible_dtype({**node, "type": [node["type"], "null"] if nullable else node["type"]}), is_guessed


def _as_booleans(node: dict[str, Any]) -> dict[str, Any]:
    """What an encoder learned of pandas' nullable booleans, which it takes for numbers: true and false in JSON."""
    keys = [key for key in ("enum", "x-training-values") if key in node]
    if not keys or not all(value in (0, 1) for key in keys for value in node[key]):
        return node
    dtype = node.get("x-dtype", "int64" if node["type"] == "integer" else "float64")
    return {**node, **{key: [bool(value) for value in node[key]] for key in keys}, "type": "boolean", "x-dtype": dtype}


def _listed(names: Sequence[str], most: int = 20) -> str:
    shown = ", ".join(label_text(name) for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
