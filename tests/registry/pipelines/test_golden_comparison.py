"""Whatever the schema and the rows: the frame, and so the answers, are those of plain pandas and scikit-learn."""

import io
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder

from mlserve.errors import InvalidRows
from mlserve.http.jsonbody import StrictJSONParser
from registry.pipelines.calls import run_rows
from registry.pipelines.frames import rows_to_input
from registry.schema.record import RecordSchema, Row

# No lone surrogates, which are no text, and no NUL, which no row may hold.
_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
_ODD_TEXTS = st.sampled_from(["", "001", "1e5", "NaN", "nan", "null", "None", "True", " ", "𝕏🦆", "a\nb", "-0", "<b>"])
_ODD_NAMES = st.sampled_from(
    ["__proto__", "class", "a b", 'quo"te', "dot.ted", "0lead", "ä", "𝕏", "x" * 200, "index", "nan", "~/", "{}"]
)
_NAMES = st.one_of(_ODD_NAMES, _TEXT.filter(bool))
_INTEGERS = st.integers(-(2**63), 2**63 - 1)
_NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
_MOMENTS = st.datetimes(min_value=pd.Timestamp("1700-01-01"), max_value=pd.Timestamp("2200-01-01"))

_KINDS: dict[str, tuple[dict[str, Any], st.SearchStrategy[Any]]] = {
    "integer": ({"type": "integer"}, _INTEGERS),
    "number": ({"type": "number"}, _NUMBERS | st.integers(-(2**53), 2**53)),
    "boolean": ({"type": "boolean"}, st.booleans()),
    "text": ({"type": "string"}, _TEXT | _ODD_TEXTS),
    "choice": ({"type": "string", "enum": ["0", "00", "no"]}, st.sampled_from(["0", "00", "no"])),
    "moment": ({"type": "string", "format": "date-time"}, _MOMENTS.map(lambda moment: moment.isoformat())),
}


@st.composite
def tables(draw: st.DrawFn) -> tuple[dict[str, Any], list[Row]]:
    """A JSON Schema of one record, and one to five rows that fit it."""
    names = draw(st.lists(_NAMES, min_size=1, max_size=5, unique=True))
    kinds = {name: draw(st.sampled_from(sorted(_KINDS))) for name in names}
    nullable = {name for name in names if draw(st.booleans())}
    optional = {name for name in nullable if draw(st.booleans())}
    properties = {name: _node(kinds[name], name in nullable) for name in names}
    row = st.fixed_dictionaries(
        {name: _value(kinds[name], name in nullable) for name in names if name not in optional},
        optional={name: _value(kinds[name], nullable=True) for name in optional},
    )
    required = [name for name in names if name not in optional]
    schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    return schema, draw(st.lists(row, min_size=1, max_size=5))


def _node(kind: str, nullable: bool) -> dict[str, Any]:
    node = dict(_KINDS[kind][0])
    if nullable:
        node["type"] = [node["type"], "null"]
        if "enum" in node:
            node["enum"] = [*node["enum"], None]
    return node


def _value(kind: str, nullable: bool) -> st.SearchStrategy[Any]:
    # With gaps, whole numbers become floats, and those that floats cannot hold are refused.
    values = st.integers(-(2**53), 2**53) if kind == "integer" and nullable else _KINDS[kind][1]
    return values | st.none() if nullable else values


def frame_of(schema: Mapping[str, Any], rows: list[Row]) -> pd.DataFrame:
    """As a notebook would make it, without code of this project."""
    columns = {name: _series(node, [row.get(name) for row in rows]) for name, node in schema["properties"].items()}
    return pd.DataFrame(columns)


def _series(node: Mapping[str, Any], values: list[Any]) -> pd.Series:
    kinds = node["type"] if isinstance(node["type"], list) else [node["type"]]
    if node.get("format") == "date-time":
        return pd.Series(pd.to_datetime(values, format="ISO8601")).astype("datetime64[us]")
    if "number" in kinds or ("integer" in kinds and "null" in kinds):
        return pd.Series([np.nan if value is None else float(value) for value in values], dtype="float64")
    if "integer" in kinds:
        return pd.Series(values, dtype="int64")
    if "boolean" in kinds:
        missing = [np.nan if value is None else value for value in values]
        return pd.Series(missing, dtype=object if "null" in kinds else "bool")
    return pd.Series(values, dtype="str")


def sent(rows: Any) -> Any:
    """What arrives of them after a client wrote JSON and the service read it."""
    return StrictJSONParser().parse(io.BytesIO(json.dumps(rows).encode()))


@given(tables())
def test_it_makes_the_frame_that_pandas_makes(table: tuple[dict[str, Any], list[Row]]) -> None:
    raw, rows = table
    schema = RecordSchema.from_json_schema(raw)

    made: Any = rows_to_input(schema, schema.validated(sent(rows)))

    pd.testing.assert_frame_equal(made, frame_of(raw, rows), check_exact=True, check_column_type=False)


@given(tables(), st.data())
def test_it_points_to_the_one_cell_that_does_not_fit(
    table: tuple[dict[str, Any], list[Row]], data: st.DataObject
) -> None:
    raw, rows = table
    schema = RecordSchema.from_json_schema(raw)
    position = data.draw(st.integers(0, len(rows) - 1))
    name = data.draw(st.sampled_from(schema.names))
    rows[position] = {**rows[position], name: ["no scalar"]}

    with pytest.raises(InvalidRows) as refused:
        schema.validated(sent(rows))

    assert {error.pointer for error in refused.value.errors} == {f"#/{position}/{_escaped(name)}"}


def _escaped(name: str) -> str:
    return quote(name.replace("~", "~0").replace("/", "~1"), safe="!$&'()*+,;=:@~-._")


# Numbers that a float holds exactly in any order of calculation are not asked for: the calls are the very same.
_CELLS = st.fixed_dictionaries(
    {
        "size": st.floats(-1e6, 1e6) | st.none(),
        "count": st.integers(-(2**40), 2**40),
        "kind": st.sampled_from(["001", "a", "", "ä"]),
        "is_new": st.booleans(),
    }
)
_SCHEMA = {
    "type": "object",
    "properties": {
        "size": {"type": ["number", "null"]},
        "count": {"type": "integer"},
        "kind": {"type": "string"},
        "is_new": {"type": "boolean"},
    },
    "required": ["size", "count", "kind", "is_new"],
}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_CELLS, min_size=12, max_size=30), st.lists(_CELLS, min_size=1, max_size=6), st.booleans())
def test_it_answers_what_the_pipeline_answers_bit_for_bit(
    training: list[Row], rows: list[Row], is_classifier: bool
) -> None:
    assume(len({row["kind"] for row in training}) > 1 and any(row["size"] is not None for row in training))
    pipeline = _fitted(frame_of(_SCHEMA, training), is_classifier)
    schema = RecordSchema.from_json_schema(_SCHEMA)
    outputs = ["predict", "predict_proba"] if is_classifier else ["predict"]

    answers = json.loads(json.dumps(run_rows(pipeline, schema, schema.validated(sent(rows)), outputs)))

    frame = frame_of(_SCHEMA, rows)
    assert answers["predictions"] == pipeline.predict(frame).tolist()
    if is_classifier:
        labels = pipeline.classes_.tolist()
        chances = [dict(zip(labels, row, strict=True)) for row in pipeline.predict_proba(frame).tolist()]
        assert answers["probabilities"] == chances


def _fitted(frame: pd.DataFrame, is_classifier: bool) -> Pipeline:
    prepare = ColumnTransformer(
        [
            ("number", SimpleImputer(), ["size", "count"]),
            ("kind", OneHotEncoder(handle_unknown="ignore"), ["kind"]),
            ("flag", "passthrough", ["is_new"]),
        ]
    )
    if is_classifier:
        return make_pipeline(prepare, RandomForestClassifier(n_estimators=3, random_state=0)).fit(frame, frame["kind"])
    return make_pipeline(prepare, LinearRegression()).fit(frame, np.arange(len(frame), dtype=float))
