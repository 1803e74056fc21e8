"""What a pipeline gets of columns is bit for bit, and in memory laid out as, what plain pandas makes of the rows."""

import marshal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from registry.pipelines.frames import to_frame, to_input
from registry.schema.columns import to_columns
from registry.schema.record import RecordSchema, Row


@dataclass(frozen=True)
class Kind:
    """A column, its values, and how a notebook makes a column of them, with None for missing."""

    node: dict[str, Any]
    values: st.SearchStrategy[Any]
    make: Callable[[list[Any]], Any]


def _array(dtype: Any) -> Callable[[list[Any]], Any]:
    return lambda values: np.array(values, dtype=dtype)


def _pandas(dtype: Any) -> Callable[[list[Any]], Any]:
    return lambda values: pd.array(values, dtype=dtype)


def _objects(values: list[Any]) -> Any:
    return pd.Series([np.nan if value is None else value for value in values], dtype=object)


def _moments(values: list[Any]) -> Any:
    return pd.DatetimeIndex([pd.NaT if value is None else pd.Timestamp(value) for value in values]).as_unit("us")


_WHOLE = st.integers(-(2**63), 2**63 - 1)
_EXACT = st.integers(-(2**53), 2**53)
_FLOATS = st.floats(allow_nan=False, allow_infinity=False) | _EXACT
_SHORT_FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
_TEXTS = st.text(st.characters(codec="utf-8"), max_size=6) | st.sampled_from(["", "nan", "1e5", "None"])
_CHOICES = ["low", "mid", "high"]
_TIMES = st.datetimes(min_value=pd.Timestamp("1700-01-01"), max_value=pd.Timestamp("2200-01-01"))


def _never_missing(dtype: str, kind: str, values: st.SearchStrategy[Any]) -> Kind:
    return Kind({"type": kind, "x-dtype": dtype}, values, _array(dtype))


def _maybe_missing(dtype: str, kind: str, values: st.SearchStrategy[Any], make: Any, **node: Any) -> Kind:
    return Kind({"type": [kind, "null"], "x-dtype": dtype, **node}, values | st.none(), make)


_KINDS = [
    _never_missing("int64", "integer", _WHOLE),
    _never_missing("int8", "integer", st.integers(-128, 127)),
    _never_missing("uint64", "integer", st.integers(0, 2**64 - 1)),
    _never_missing("float64", "number", _FLOATS),
    _never_missing("float32", "number", _SHORT_FLOATS),
    _never_missing("bool", "boolean", st.booleans()),
    _maybe_missing("float64", "number", _FLOATS, _array("float64")),
    _maybe_missing("float64", "integer", _EXACT, _array("float64")),
    _maybe_missing("float64", "boolean", st.booleans(), _array("float64")),
    _maybe_missing("Int64", "integer", _WHOLE, _pandas("Int64")),
    _maybe_missing("Float64", "number", _FLOATS, _pandas("Float64")),
    _maybe_missing("boolean", "boolean", st.booleans(), _pandas("boolean")),
    _maybe_missing("str", "string", _TEXTS, _pandas("str")),
    _maybe_missing("string", "string", _TEXTS, _pandas("string")),
    _maybe_missing("object", "string", _TEXTS, _objects),
    _maybe_missing("object", "number", _FLOATS, _objects),
    _maybe_missing(
        "category",
        "string",
        st.sampled_from(_CHOICES),
        lambda values: pd.Categorical(values, categories=_CHOICES),
        enum=[*_CHOICES, None],
    ),
    _maybe_missing("datetime64[us]", "string", _TIMES.map(lambda time: time.isoformat()), _moments, format="date-time"),
]
_NUMBERS = [kind for kind in _KINDS if kind.node["x-dtype"] in ("int64", "float64", "float32")]


@st.composite
def tables(draw: st.DrawFn, kinds: list[Kind]) -> tuple[dict[str, Kind], list[Row]]:
    """Columns of some kinds, and one to five rows; what may be missing may also be absent."""
    chosen = {f"c{place}": draw(st.sampled_from(kinds)) for place in range(draw(st.integers(1, 8)))}
    optional = {name for name, kind in chosen.items() if isinstance(kind.node["type"], list) and draw(st.booleans())}
    row = st.fixed_dictionaries(
        {name: kind.values for name, kind in chosen.items() if name not in optional},
        optional={name: chosen[name].values for name in sorted(optional)},
    )
    return chosen, draw(st.lists(row, min_size=1, max_size=5))


def schema_of(chosen: dict[str, Kind], rows: list[Row], container: Any = "frame") -> RecordSchema:
    properties = {name: kind.node for name, kind in chosen.items()}
    required = [name for name in chosen if all(name in row for row in rows)]
    return RecordSchema.from_json_schema({"properties": properties, "required": required}, container=container)


def plain_frame(chosen: dict[str, Kind], rows: list[Row]) -> pd.DataFrame:
    data = {name: kind.make([row.get(name) for row in rows]) for name, kind in chosen.items()}
    return pd.DataFrame(data, columns=list(chosen))


def sent(schema: RecordSchema, rows: list[Row]) -> Any:
    """Columns as the process that calls the model receives them."""
    return marshal.loads(marshal.dumps(to_columns(schema, rows)))


def content(series: pd.Series) -> Any:
    """The bits of a column of numbers, what Python sees of another one."""
    if isinstance(series.dtype, np.dtype) and series.dtype != object:
        return series.to_numpy().tobytes()
    return [(type(value), repr(value)) for value in series.tolist()]


@given(tables(_KINDS))
def test_it_makes_the_same_frame(table: tuple[dict[str, Kind], list[Row]]) -> None:
    chosen, rows = table
    schema = schema_of(chosen, rows)

    made, expected = to_frame(schema, sent(schema, rows), len(rows)), plain_frame(chosen, rows)

    pd.testing.assert_frame_equal(made, expected, check_exact=True)
    for name in chosen:
        assert content(made[name]) == content(expected[name])


@given(tables(_NUMBERS))
def test_it_lays_numbers_out_in_the_same_way(table: tuple[dict[str, Kind], list[Row]]) -> None:
    """NumPy adds up in the order of memory, so that the last bits of a sum depend on it."""
    chosen, rows = table
    schema = schema_of(chosen, rows)

    made, expected = to_frame(schema, sent(schema, rows), len(rows)), plain_frame(chosen, rows)

    for some in (list(chosen), list(chosen)[1:], list(chosen)[::2]):
        one, other = made[some].to_numpy(), expected[some].to_numpy()
        assert (one.dtype, one.strides, one.tobytes()) == (other.dtype, other.strides, other.tobytes())


@given(tables(_NUMBERS))
def test_it_makes_the_same_array(table: tuple[dict[str, Kind], list[Row]]) -> None:
    chosen, rows = table
    schema = schema_of(chosen, rows, "array")

    made: Any = to_input(schema, sent(schema, rows), len(rows))

    expected = plain_frame(chosen, rows).to_numpy()
    assert (made.dtype, made.strides, made.tobytes()) == (expected.dtype, expected.strides, expected.tobytes())
    assert made.flags.writeable == expected.flags.writeable


def test_it_lets_a_step_write_into_its_frame() -> None:
    """Bytes that were received cannot be written to."""
    kind = _never_missing("float64", "number", _FLOATS)
    schema = schema_of({"a": kind}, [{"a": 1.5}])
    frame = to_frame(schema, sent(schema, [{"a": 1.5}]), 1)

    frame.loc[:, "a"] *= 2

    assert frame["a"].tolist() == [3.0]
