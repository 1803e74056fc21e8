"""The schema of one record: the one source for validation, frames, forms, OpenAPI and warnings. Pure."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import islice
from typing import Any, Literal

import jsonschema_rs

from mlserve.errors import BadUpload, FieldError, InvalidRows
from registry.schema.flattening import column_dtype, example_record, flat_record_schema, in_column_order, types_of
from registry.schema.options import Options, enum_options, is_left_to_validator, shown, without_enum
from registry.schema.privacy import MARK_KEY, Mark, marks_of
from registry.schema.row_errors import RowErrors
from registry.schema.violations import pointer

Container = Literal["frame", "array"]
Row = dict[str, Any]

MAX_LISTED_WARNINGS = 100
_VALUES = "x-training-values"
_TRAINING_ANNOTATIONS = frozenset({"x-training-range", _VALUES, "x-training-usual"})
_UNUSUAL_DEVIATIONS = 4
_INTEGER_DTYPE = re.compile(r"(?P<unsigned>u?)int(?P<bits>8|16|32|64)", re.IGNORECASE)
# 64 bits of nanoseconds, to the second.
_FIRST_NANOSECOND = datetime(1677, 9, 21, 0, 12, 44, tzinfo=UTC)
_LAST_NANOSECOND = datetime(2262, 4, 11, 23, 47, 16, tzinfo=UTC)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
# What pandas reads as Python does; the standard library's reader takes any separator and offsets with seconds.
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d(:?\d\d(:?\d\d([.,]\d{1,9})?)?)?(Z|[+-]\d\d(:?\d\d)?)?)?", re.ASCII)


@dataclass(frozen=True)
class Column:
    """One column of the training data. `dtype` is a pandas dtype; `missing` what stands for no value."""

    name: str
    dtype: str
    missing: Literal["nan", "none"] = "nan"


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
    columns: tuple[Column, ...]
    container: Container = "frame"

    @classmethod
    def from_json_schema(
        cls, raw: Mapping[str, Any], *, order: Sequence[str] | None = None, container: Container = "frame"
    ) -> "RecordSchema":
        """Flatten and compile `raw`; columns follow `order` (default: as written). Raises BadUpload."""
        flat = flat_record_schema(raw)
        ordered = in_column_order(flat, order or flat["properties"])
        columns = tuple(
            Column(name, column_dtype(ordered, name), "none" if node.get("x-missing") == "none" else "nan")
            for name, node in ordered["properties"].items()
        )
        schema = cls(ordered, columns, container)
        try:
            schema._record_validator.is_valid({})
        except (ValueError, jsonschema_rs.ReferencingError) as error:
            raise BadUpload(f"The schema cannot be used: {getattr(error, 'message', error)}.") from error
        return schema

    @classmethod
    def from_stored(
        cls, schema: Mapping[str, Any], columns: Sequence[Mapping[str, Any]], container: str
    ) -> "RecordSchema":
        """Read back from the database, which may have lost the order of names."""
        ordered = in_column_order(schema, [column["name"] for column in columns])
        kind: Container = "array" if container == "array" else "frame"
        return cls(ordered, tuple(Column(**column) for column in columns), kind)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def properties(self) -> dict[str, dict[str, Any]]:
        properties: dict[str, dict[str, Any]] = self.json_schema["properties"]
        return properties

    @cached_property
    def marks(self) -> dict[str, Mark]:
        """The redacted columns; empty for nearly every model."""
        return marks_of(self.properties)

    def stored_columns(self) -> list[dict[str, Any]]:
        return [asdict(column) for column in self.columns]

    def example(self) -> Row:
        return example_record(self.json_schema)

    def validated(self, payload: Any) -> list[Row]:
        """The rows of a request: one record or a list of records.

        Raises InvalidRows with every error; pointers start at `#/column` for a single record, at
        `#/row/column` for a list.
        """
        if isinstance(payload, dict):
            if not (self._record_validator.is_valid(payload) and self._are_options([payload])):
                self._errors.refuse([(payload, ())])
            return [payload]
        if not isinstance(payload, list):
            raise InvalidRows([FieldError("#", "must be one record {…} or a list of records [{…}, …]")], 1)
        if not payload:
            raise InvalidRows([FieldError("#", "must hold at least one record")], 1)
        if not (self._list_validator.is_valid(payload) and self._are_options(payload)):
            self._errors.refuse((row, (index,)) for index, row in enumerate(payload))
        return payload

    def training_warnings(self, rows: Sequence[Row]) -> list[RowWarning]:
        """Values outside what the pipeline saw in training, at most `MAX_LISTED_WARNINGS`, in row order."""
        odd = [(name, node) for name, node in self._annotated if not _are_usual([row.get(name) for row in rows], node)]
        if not odd:
            return []
        warnings = (
            warning
            for index, row in enumerate(rows)
            for name, node in odd
            if (warning := _training_warning(index, name, node, row.get(name))) is not None
        )
        return list(islice(warnings, MAX_LISTED_WARNINGS))

    def _are_options(self, rows: Sequence[Row]) -> bool:
        """Whether otherwise valid rows hold only options, where the validator was not given the enum."""
        for name, values in self._enums:
            for row in rows:
                if name in row and row[name] not in values:
                    return False
        return True

    @cached_property
    def _enums(self) -> list[tuple[str, frozenset[Any]]]:
        enums = [(name, enum_options(node)) for name, node in self.properties.items() if not is_left_to_validator(node)]
        return [(name, options.values) for name, options in enums if options is not None]

    @cached_property
    def _errors(self) -> RowErrors:
        return RowErrors(self._within_dtypes, self.json_schema["required"], _compile)

    @cached_property
    def _record_validator(self) -> Any:
        return _compile(self._validated_schema())

    @cached_property
    def _list_validator(self) -> Any:
        return _compile({"type": "array", "items": self._validated_schema()})

    def _validated_schema(self) -> dict[str, Any]:
        nodes = self._within_dtypes.items()
        properties = {name: node if is_left_to_validator(node) else without_enum(node) for name, node in nodes}
        return {**self.json_schema, "properties": properties}

    @cached_property
    def _within_dtypes(self) -> dict[str, dict[str, Any]]:
        """The properties with the limits of each column's dtype, beyond which a frame cannot hold a value."""
        return {column.name: _within_dtype(self.properties[column.name], column.dtype) for column in self.columns}

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


def _compile(schema: dict[str, Any]) -> Any:
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True, offline=True, formats=_FORMATS)


def _within_dtype(node: dict[str, Any], dtype: str) -> dict[str, Any]:
    if dtype.startswith("datetime64[ns") and node.get("format") in _FORMATS:
        return {**node, "format": f"{node['format']}-ns"}
    if types_of(node)[0] != "integer":
        return node
    match = _INTEGER_DTYPE.fullmatch(dtype)
    bits, is_signed = (int(match["bits"]), not match["unsigned"]) if match else (64, True)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if is_signed else (0, 2**bits - 1)
    return {**node, "minimum": max(low, node.get("minimum", low)), "maximum": min(high, node.get("maximum", high))}


def _is_date(value: str) -> bool:
    """Refuses the compact and week forms of ISO 8601, which pandas reads differently."""
    return _DATE.fullmatch(value) is not None and _exists(value)


def _is_date_time(value: str) -> bool:
    """ISO 8601 with or without an offset: training data seldom has one, though RFC 3339 wants it."""
    return _DATE_TIME.fullmatch(value) is not None and _exists(value)


def _exists(value: str) -> bool:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _fits_nanoseconds(value: str) -> bool:
    """Whether a valid date or time can be counted in 64-bit nanoseconds."""
    moment = datetime.fromisoformat(value)
    try:
        return _FIRST_NANOSECOND <= moment.replace(tzinfo=moment.tzinfo or UTC) <= _LAST_NANOSECOND
    except OverflowError:  # with its offset, the year is before 1 or after 9999
        return False


_FORMATS: dict[str, Callable[[str], bool]] = {
    "date-time": _is_date_time,
    "date": _is_date,
    "date-time-ns": lambda value: _is_date_time(value) and _fits_nanoseconds(value),
    "date-ns": lambda value: _is_date(value) and _fits_nanoseconds(value),
}


def _are_usual(values: Iterable[Any], node: Mapping[str, Any]) -> bool:
    """Whether no value of a column deserves a warning, told by its smallest and largest or its distinct values."""
    present = [value for value in values if value is not None]
    if not present:
        return True
    if _VALUES in node and "x-training-range" not in node:
        return set(present).issubset(node[_VALUES])
    return all(_training_warning(0, "", node, value) is None for value in (min(present), max(present)))


def _training_warning(index: int, name: str, node: Mapping[str, Any], value: Any) -> RowWarning | None:
    if value is None:
        return None
    if "x-training-range" in node:
        low, high = node["x-training-range"]
        if value < low:
            return RowWarning(index, name, f"below the training minimum {low:g}")
        if value > high:
            return RowWarning(index, name, f"above the training maximum {high:g}")
    elif _VALUES in node:
        if value not in node[_VALUES]:
            # A warning is stored with its prediction and must not hold a redacted value.
            what = "the value" if MARK_KEY in node else shown(value)
            return RowWarning(index, name, f"{what} was not seen in training")
    else:
        mean, deviation = node["x-training-usual"]
        if abs(value - mean) > _UNUSUAL_DEVIATIONS * deviation:
            return RowWarning(index, name, f"far from what training saw (mean {mean:.4g}, deviation {deviation:.4g})")
    return None
