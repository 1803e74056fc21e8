"""The schema of one record: the one source for validation, frames, forms, OpenAPI and warnings. Pure."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal, cast

import jsonschema_rs

from mlserve.errors import BadUpload, FieldError, InvalidRows
from registry.schema import patterns
from registry.schema.date_formats import FORMATS, format_within
from registry.schema.flattening import (
    IGNORED_KEY,
    column_dtype,
    example_record,
    flat_record_schema,
    in_column_order,
    types_of,
)
from registry.schema.layouts import EXPECTED, layout_of, wrong_layout
from registry.schema.options import Options, enum_options, is_left_to_validator, shown, without_enum
from registry.schema.privacy import MARK_KEY, Mark, marks_of
from registry.schema.row_errors import RowErrors
from registry.schema.unknown_columns import sentences, without_unknown
from registry.schema.violations import pointer

# What a pipeline's methods are called with: a frame, an array, one column as a sequence of texts, or a list of dicts.
Container = Literal["frame", "array", "texts", "records"]
Missing = Literal["nan", "none", "na", "value"]
Row = dict[str, Any]

IGNORED = "ignored"

MAX_LISTED_WARNINGS = 100
_VALUES = "x-training-values"
_TRAINING_ANNOTATIONS = frozenset({"x-training-range", _VALUES, "x-training-usual"})
_UNUSUAL_DEVIATIONS = 4
_INTEGER_DTYPE = re.compile(r"(?P<unsigned>u?)int(?P<bits>8|16|32|64)", re.IGNORECASE)
# Up to here these dtypes hold every whole number.
_EXACT_INTEGERS = {"float64": 2**53, "float32": 2**24, "float16": 2**11}
_MIDNIGHT = re.compile(r"\d{4}-\d\d-\d\d[T ]00:00(:00(\.0{1,9})?)?", re.ASCII)
_DAY_CHARACTERS = 10


@dataclass(frozen=True)
class Column:
    """One column of the training data.

    `dtype` is a pandas dtype, or `IGNORED` for a column that the pipeline drops. `missing` is what stands for no value:
    NaN (or the dtype's own), None, pandas.NA, or the value in the schema's `x-missing`.
    """

    name: str
    dtype: str
    missing: Missing = "nan"


@dataclass(frozen=True)
class RowWarning:
    """An allowed value that differs from what training saw."""

    row: int
    column: str
    detail: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class RecordSchema:
    """A flat JSON Schema of one record together with the order, dtypes and container of the training data."""

    json_schema: dict[str, Any]
    training_columns: tuple[Column, ...]
    container: Container = "frame"

    @classmethod
    def from_json_schema(
        cls, raw: Mapping[str, Any], *, order: Sequence[str] | None = None, container: Container = "frame"
    ) -> "RecordSchema":
        """Flatten and compile `raw`; inputs follow `order` (default: as written). Raises BadUpload."""
        flat = flat_record_schema(raw)
        flat["properties"] = {name: patterns.bounded(node) for name, node in flat["properties"].items()}
        ordered = in_column_order(flat, order or flat["properties"])
        columns = [Column(name, column_dtype(ordered, name), _missing(node)) for name, node in _nodes(ordered)]
        for name, position in sorted(ordered.get(IGNORED_KEY, {}).items(), key=lambda each: each[1]):
            columns.insert(position, Column(name, IGNORED))
        schema = cls(ordered, tuple(columns), container)
        try:
            schema._record_validator.is_valid({})
            _ = schema._slow
        except (ValueError, jsonschema_rs.ReferencingError) as error:
            raise BadUpload(f"The schema cannot be used: {getattr(error, 'message', error)}.") from error
        return schema

    @classmethod
    def from_stored(
        cls, schema: Mapping[str, Any], columns: Sequence[Mapping[str, Any]], container: str
    ) -> "RecordSchema":
        """Read back from the database, which may have lost the order of names."""
        ordered = in_column_order(schema, [column["name"] for column in columns if column["dtype"] != IGNORED])
        return cls(ordered, tuple(Column(**column) for column in columns), cast(Container, container))

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The columns that a row may have, without those that are accepted and ignored."""
        return tuple(column for column in self.training_columns if column.dtype != IGNORED)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @cached_property
    def ignored(self) -> tuple[str, ...]:
        """The columns of the training data that the pipeline drops: accepted in a row, and not looked at."""
        return tuple(column.name for column in self.training_columns if column.dtype == IGNORED)

    @property
    def properties(self) -> dict[str, dict[str, Any]]:
        properties: dict[str, dict[str, Any]] = self.json_schema["properties"]
        return properties

    @cached_property
    def marks(self) -> dict[str, Mark]:
        """The redacted columns; empty for nearly every model."""
        return marks_of(self.properties)

    def stored_columns(self) -> list[dict[str, Any]]:
        return [asdict(column) for column in self.training_columns]

    def example(self) -> Row:
        return example_record(self.json_schema)

    def slow_texts(self) -> dict[str, str]:
        """For each column whose pattern takes too long for some text: such a text. Takes two seconds at most."""
        return patterns.slow_texts(self._within_dtypes, self._slow)

    def validated(self, payload: Any, *, example: Callable[[], Row] | None = None) -> list[Row]:
        """The rows of a request, one record or a list of records, without the columns that are ignored.

        Raises InvalidRows with every error; pointers start at `#/column` for a single record, at
        `#/row/column` for a list. For another layout the error holds an `example` (default: made from the schema).
        """
        if self.ignores_unknown:
            payload, _ = self.without_unknown(payload, example=example)
        payload, effort = self.with_days(payload), patterns.Effort()
        if isinstance(payload, dict):
            if not (self._record_validator.is_valid(payload) and self._are_allowed([payload], effort)):
                self._require_records(payload, example)
                self._errors.refuse([(payload, ())], effort)
            return self._inputs_of([payload])
        if not isinstance(payload, list):
            self._require_records(payload, example)
            raise InvalidRows([FieldError("#", EXPECTED)], 1)
        if not payload:
            raise InvalidRows([FieldError("#", "must hold at least one record")], 1)
        if not (self._list_validator.is_valid(payload) and self._are_allowed(payload, effort)):
            self._require_records(payload, example)
            self._errors.refuse(((row, (index,)) for index, row in enumerate(payload)), effort)
        return self._inputs_of(payload)

    @property
    def ignores_unknown(self) -> bool:
        """Whether the schema says that columns which the model does not have are ignored."""
        return self.json_schema.get("additionalProperties") is True

    def without_unknown(
        self, payload: Any, *, example: Callable[[], Row] | None = None
    ) -> tuple[Any, list[RowWarning]]:
        """What is sent without the columns that the model does not have, and a warning for each (the first 100).

        Raises InvalidRows for another layout, which would leave nothing, and for rows with none of the columns.
        """
        self._require_records(payload, example)
        known, unknown = without_unknown(payload, self._accepted)
        listed = dict(list(unknown.items())[:MAX_LISTED_WARNINGS])
        told = zip(listed.values(), sentences(listed, self.names), strict=True)
        return known, [RowWarning(row, name, sentence) for row, (name, sentence) in told]

    def _require_records(self, payload: Any, example: Callable[[], Row] | None) -> None:
        if layout := layout_of(payload, self._accepted):
            raise wrong_layout(layout, (example or self.example)())

    @cached_property
    def _accepted(self) -> frozenset[str]:
        return frozenset(column.name for column in self.training_columns)

    def with_days(self, payload: Any) -> Any:
        """Midnights of columns of days as days: pandas writes a day as either, and knows one of them."""
        if not self._days:
            return payload
        if isinstance(payload, list):
            return [self.with_days(row) if isinstance(row, dict) else row for row in payload]
        if not isinstance(payload, dict):
            return payload
        midnights = {
            name: value[:_DAY_CHARACTERS]
            for name in self._days
            if isinstance(value := payload.get(name), str)
            and len(value) > _DAY_CHARACTERS
            and _MIDNIGHT.fullmatch(value)
        }
        return {**payload, **midnights} if midnights else payload

    @cached_property
    def _days(self) -> list[str]:
        return [column.name for column in self.columns if self.properties[column.name].get("format") == "date"]

    def _inputs_of(self, rows: list[Row]) -> list[Row]:
        """Nothing that the model does not look at is kept: it is often what tells one person from another."""
        if not self.ignored:
            return rows
        names = frozenset(self.names)
        return [{name: value for name, value in row.items() if name in names} for row in rows]

    def training_warnings(self, rows: Sequence[Row]) -> list[RowWarning]:
        """Values outside what the pipeline saw in training, at most `MAX_LISTED_WARNINGS`, in row order."""
        found = [
            (row, position)
            for position, (name, node) in enumerate(self._annotated)
            for row in _unusual_rows(rows, name, node)[:MAX_LISTED_WARNINGS]
        ]
        warnings = []
        for row, position in sorted(found)[:MAX_LISTED_WARNINGS]:
            name, node = self._annotated[position]
            warnings.append(RowWarning(row, name, _training_sentence(node, rows[row][name])))
        return warnings

    def _are_allowed(self, rows: Sequence[Row], effort: patterns.Effort) -> bool:
        """Whether rows that the validator accepts have what it was not asked for: options, slow patterns."""
        for name, values in self._enums:
            for row in rows:
                if name in row and row[name] not in values:
                    return False
        for name, validator in self._slow.items():
            for row in rows:
                if name in row and (effort.is_spent or not effort.spent_on(validator.is_valid, row[name])):
                    return False
        return True

    @cached_property
    def _enums(self) -> list[tuple[str, frozenset[Any]]]:
        enums = [(name, enum_options(node)) for name, node in self.properties.items() if not is_left_to_validator(node)]
        return [(name, options.values) for name, options in enums if options is not None]

    @cached_property
    def _errors(self) -> RowErrors:
        return RowErrors(self._within_dtypes, self.json_schema["required"], _compile, self._slow)

    @cached_property
    def _slow(self) -> dict[str, Any]:
        """The validators of columns that are slow to compare with their patterns."""
        slow = {name: node for name, node in self._within_dtypes.items() if patterns.most_characters(node) is not None}
        return {name: _compile(without_enum(node)) for name, node in slow.items()}

    @cached_property
    def _record_validator(self) -> Any:
        return _compile(self._validated_schema())

    @cached_property
    def _list_validator(self) -> Any:
        return _compile({"type": "array", "items": self._validated_schema()})

    def _validated_schema(self) -> dict[str, Any]:
        nodes = self._within_dtypes.items()
        left = {name for name, node in self.properties.items() if is_left_to_validator(node)}
        properties = {name: node if name in left else without_enum(node) for name, node in nodes}
        for name in self._slow:
            properties[name] = {key: value for key, value in properties[name].items() if key in ("type", "enum")}
        return {**self.json_schema, "properties": properties, "additionalProperties": False}

    @cached_property
    def _within_dtypes(self) -> dict[str, dict[str, Any]]:
        """The properties with the limits of each column's dtype, beyond which a frame cannot hold a value, and of
        what is compared with its pattern.

        A column that is ignored may hold anything.
        """
        inputs = {column.name: _within_dtype(self.properties[column.name], column.dtype) for column in self.columns}
        bounded = {name: patterns.bounded(node) for name, node in inputs.items()}
        return {**bounded, **{name: {} for name in self.ignored}}

    @cached_property
    def _annotated(self) -> list[tuple[str, dict[str, Any]]]:
        """The columns with annotations from training, values as a set."""
        nodes = [(name, node) for name, node in self.properties.items() if not _TRAINING_ANNOTATIONS.isdisjoint(node)]
        return [
            (name, {**node, _VALUES: Options(node[_VALUES]).values} if _VALUES in node else node)
            for name, node in nodes
        ]


def row_pointer(row: int, column: str | None = None) -> str:
    return pointer(row) if column is None else pointer(row, column)


def _nodes(schema: Mapping[str, Any]) -> Iterable[tuple[str, dict[str, Any]]]:
    properties: dict[str, dict[str, Any]] = schema["properties"]
    return properties.items()


def _missing(node: Mapping[str, Any]) -> Missing:
    marker = node.get("x-missing", "nan")
    return "value" if isinstance(marker, Mapping) else cast(Missing, marker)


def _compile(schema: dict[str, Any]) -> Any:
    return jsonschema_rs.Draft202012Validator(
        schema, validate_formats=True, offline=True, formats=FORMATS, pattern_options=patterns.OPTIONS
    )


def _within_dtype(node: dict[str, Any], dtype: str) -> dict[str, Any]:
    if node.get("format") in FORMATS and dtype.startswith("datetime64"):
        return {**node, "format": format_within(node["format"], dtype)}
    kind = types_of(node)[0]
    match = _INTEGER_DTYPE.fullmatch(dtype)
    if match and kind in ("integer", "number"):
        return _between(node, *_limits_of(int(match["bits"]), is_signed=not match["unsigned"]))
    if kind == "integer":
        exact = _EXACT_INTEGERS.get(dtype.lower())
        return _between(node, -exact, exact) if exact else _between(node, *_limits_of(64, is_signed=True))
    exact = _EXACT_INTEGERS.get(dtype.lower())
    values = node.get("enum") or node.get("x-training-values")
    if kind == "number" and exact and values and all(value is None or abs(value) <= exact for value in values):
        # Each number of this column means something of its own, and beyond this limit two would become one.
        return _between(node, -exact, exact)
    return node


def _limits_of(bits: int, *, is_signed: bool) -> tuple[int, int]:
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if is_signed else (0, 2**bits - 1)


def _between(node: dict[str, Any], low: int, high: int) -> dict[str, Any]:
    return {**node, "minimum": max(low, node.get("minimum", low)), "maximum": min(high, node.get("maximum", high))}


def _unusual_rows(rows: Sequence[Row], name: str, node: Mapping[str, Any]) -> list[int]:
    """The rows with a value that deserves a warning, in ascending order."""
    values = [row.get(name) for row in rows]
    if "x-training-range" in node:
        low, high = node["x-training-range"]
        return [row for row, value in enumerate(values) if value is not None and not low <= value <= high]
    if _VALUES in node:
        seen = node[_VALUES]
        return [row for row, value in enumerate(values) if value is not None and value not in seen]
    mean, deviation = node["x-training-usual"]
    most = _UNUSUAL_DEVIATIONS * deviation
    return [row for row, value in enumerate(values) if value is not None and abs(value - mean) > most]


def _training_sentence(node: Mapping[str, Any], value: Any) -> str:
    if "x-training-range" in node:
        low, high = node["x-training-range"]
        return f"below the training minimum {low:g}" if value < low else f"above the training maximum {high:g}"
    if _VALUES in node:
        # A warning is stored with its prediction and must not hold a redacted value.
        return f"{'the value' if MARK_KEY in node else shown(value)} was not seen in training"
    mean, deviation = node["x-training-usual"]
    return f"far from what training saw (mean {mean:.4g}, deviation {deviation:.4g})"
