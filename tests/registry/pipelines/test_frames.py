import csv
import io
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from registry.pipelines.errors import NotJsonable
from registry.pipelines.frames import label_text, predictions_to_json, probabilities_to_json, rows_to_input
from registry.schema.record import RecordSchema

# How the training data were read, for each column what the schema says of it and how a row is sent.
TRAINING = """\
age,siblings,city,postcode,member,vip,height,born
39,1,Bern,0123,True,True,1.8,1986-05-01
40,,Basel,4567,False,,,1985-06-02
41,3,,0890,True,False,1.7,1984-07-03
"""
PROPERTIES: dict[str, dict[str, Any]] = {
    "age": {"type": "integer"},
    "siblings": {"type": ["integer", "null"]},
    "city": {"type": ["string", "null"]},
    "postcode": {"type": "string"},
    "member": {"type": "boolean"},
    "vip": {"type": ["boolean", "null"]},
    "height": {"type": ["number", "null"]},
    "born": {"type": "string", "format": "date"},
}
ROWS: list[dict[str, Any]] = [
    {"age": 39, "siblings": 1, "city": "Bern", "postcode": "0123", "member": True, "vip": True, "height": 1.8,
     "born": "1986-05-01"},
    {"age": 40, "siblings": None, "city": "Basel", "postcode": "4567", "member": False, "vip": None, "height": None,
     "born": "1985-06-02"},
    {"age": 41, "siblings": 3, "city": None, "postcode": "0890", "member": True, "vip": False, "height": 1.7,
     "born": "1984-07-03"},
]  # fmt: skip


def schema_of(container: Any = "frame", **properties: dict[str, Any]) -> RecordSchema:
    raw = {"type": "object", "properties": properties, "required": list(properties)}
    return RecordSchema.from_json_schema(raw, container=container)


def frame_of(schema: RecordSchema, rows: list[dict[str, Any]]) -> pd.DataFrame:
    frame = rows_to_input(schema, rows)
    assert isinstance(frame, pd.DataFrame)
    return frame


def column(values: list[Any], **node: Any) -> pd.Series:
    return frame_of(schema_of(a=node), [{"a": value} for value in values])["a"]


def test_it_makes_the_frame_that_read_csv_made() -> None:
    training = pd.read_csv(io.StringIO(TRAINING), dtype={"postcode": str}, parse_dates=["born"])

    frame = frame_of(schema_of(**PROPERTIES), ROWS)

    assert_frame_equal(frame, training)


@pytest.mark.parametrize("rows", [[0], [1], [2], [2, 0]], ids=str)
def test_it_has_the_same_dtypes_whatever_the_rows_hold(rows: list[int]) -> None:
    """Rows of several requests share a batch; alone, a column may hold nothing but nulls."""
    training = pd.read_csv(io.StringIO(TRAINING), dtype={"postcode": str}, parse_dates=["born"])

    frame = frame_of(schema_of(**PROPERTIES), [ROWS[index] for index in rows])

    assert_frame_equal(frame, training.iloc[rows].reset_index(drop=True))


def test_it_keeps_leading_zeros() -> None:
    assert column(["001", "01", "1"], type="string").tolist() == ["001", "01", "1"]


def test_it_follows_the_training_order_instead_of_the_rows() -> None:
    frame = frame_of(schema_of(b={"type": "number"}, a={"type": "number"}), [{"a": 1, "b": 2}])

    assert list(frame.columns) == ["b", "a"]
    assert frame.to_numpy().tolist() == [[2, 1]]


@pytest.mark.parametrize(
    ("dtype", "kind"),
    [
        ("Int64", "integer"), ("Int8", "integer"), ("UInt16", "integer"), ("Float32", "number"),
        ("Float64", "number"), ("boolean", "boolean"), ("string", "string"),
    ],
)  # fmt: skip
def test_it_makes_nullable_dtypes(dtype: str, kind: str) -> None:
    value = {"integer": 7, "number": 7.5, "boolean": True, "string": "x"}[kind]

    series = column([value, None], **{"type": [kind, "null"], "x-dtype": dtype})

    assert str(series.dtype) == dtype
    assert series[0] == value
    assert series[1] is pd.NA


@pytest.mark.parametrize("dtype", ["int8", "int32", "uint16", "int64"])
def test_it_makes_sized_integers(dtype: str) -> None:
    series = column([1, 2.0], **{"type": "integer", "x-dtype": dtype})

    assert series.dtype == dtype
    assert series.tolist() == [1, 2]


@pytest.mark.parametrize("dtype", ["int64", "Int64"])
def test_it_keeps_every_digit_beside_one_point_zero(dtype: str) -> None:
    """NumPy would make floats of all of them, and of 2**63 - 1 a negative number."""
    series = column([1.0, 2**53 + 1, 2**63 - 1], **{"type": "integer", "x-dtype": dtype})

    assert series.tolist() == [1, 2**53 + 1, 2**63 - 1]


def test_it_keeps_the_order_of_categories() -> None:
    node = {"enum": ["low", "mid", "high", None], "type": ["string", "null"], "x-dtype": "category"}

    series = column(["high", None, "low"], **node)

    assert list(series.cat.categories) == ["low", "mid", "high"]
    assert series.cat.codes.tolist() == [2, -1, 0]


def test_it_makes_categories_of_numbers() -> None:
    series = column([2.0, 1], **{"enum": [1, 2, 3], "type": "integer", "x-dtype": "category"})

    assert series.cat.categories.dtype == "int64"
    assert series.tolist() == [2, 1]


@pytest.mark.parametrize(
    ("dtype", "value", "expected"),
    [
        (None, "2026-01-31", pd.Timestamp("2026-01-31")),
        (None, "2026-01-31T12:00:00", pd.Timestamp("2026-01-31 12:00")),
        (None, "2026-01-31T12:00:00+01:00", pd.Timestamp("2026-01-31 11:00")),
        (None, "2026-01-31T12:00:00Z", pd.Timestamp("2026-01-31 12:00")),
        (None, None, pd.NaT),
        (None, "9999-12-31T23:59:59", pd.Timestamp("9999-12-31 23:59:59")),
        ("datetime64[ns]", "2026-01-31T12:00:00.123456789", pd.Timestamp("2026-01-31 12:00:00.123456789")),
        ("datetime64[s]", "2026-01-31", pd.Timestamp("2026-01-31")),
        ("datetime64[us, UTC]", "2026-01-31T12:00:00+01:00", pd.Timestamp("2026-01-31 11:00", tz="UTC")),
        ("datetime64[us, UTC]", "2026-01-31T12:00:00", pd.Timestamp("2026-01-31 12:00", tz="UTC")),
        ("datetime64[ns, Europe/Zurich]", "2026-01-31T12:00:00Z", pd.Timestamp("2026-01-31 13:00", tz="Europe/Zurich")),
        ("datetime64[ns, Europe/Zurich]", None, pd.NaT),
    ],
    ids=str,
)
def test_it_reads_dates_and_times(dtype: str | None, value: str | None, expected: Any) -> None:
    node = {"type": ["string", "null"], "format": "date-time", **({"x-dtype": dtype} if dtype else {})}

    series = column([value], **node)

    assert series.dtype == (dtype or "datetime64[us]")
    assert series[0] is expected if expected is pd.NaT else series[0] == expected


def test_it_reads_times_of_different_precision_together() -> None:
    values = ["2026-01-31", "2026-01-31T12:00:00.123456789", None, "9999-12-31T00:00:00", "2026-01-31T12:00:00+01:00"]

    series = column(values, type=["string", "null"], format="date-time")

    assert series.dtype == "datetime64[us]"
    assert series.isna().tolist() == [False, False, True, False, False]


def test_it_takes_nan_for_a_missing_text() -> None:
    series = column(["a", None], type=["string", "null"])

    assert series.dtype == "str"
    assert np.isnan(series[1])


@pytest.mark.parametrize("dtype", ["str", "object"])
def test_it_takes_none_where_the_pipeline_was_fitted_on_none(dtype: str) -> None:
    series = column(["a", None], **{"type": ["string", "null"], "x-missing": "none", "x-dtype": dtype})

    assert series.dtype == object
    assert series.tolist() == ["a", None]


def test_it_fills_an_absent_value_with_the_default_but_not_a_null() -> None:
    schema = RecordSchema.from_json_schema(
        {"type": "object", "properties": {"a": {"type": ["number", "null"], "default": 5}, "b": {"type": "string"}}}
    )

    frame = frame_of(schema, [{"b": "x"}, {"a": None}])

    assert frame["a"].tolist()[0] == 5
    assert np.isnan(frame["a"][1])
    assert frame["b"].isna().tolist() == [False, True]


def test_it_leaves_an_absent_boolean_missing() -> None:
    schema = RecordSchema.from_json_schema({"type": "object", "properties": {"a": {"type": "boolean"}}})

    assert frame_of(schema, [{}, {"a": False}])["a"].isna().tolist() == [True, False]


def test_it_makes_a_float_array_for_a_pipeline_fitted_on_one() -> None:
    schema = schema_of("array", x0={"type": "number"}, x1={"type": "integer"}, x2={"type": ["integer", "null"]})

    data = rows_to_input(schema, [{"x2": None, "x1": 2, "x0": 1.5}])

    assert isinstance(data, np.ndarray)
    assert data.dtype == np.float64
    np.testing.assert_array_equal(data, [[1.5, 2, np.nan]])


def test_it_makes_an_object_array_when_a_column_is_text() -> None:
    data: Any = rows_to_input(
        schema_of("array", x0={"type": "number"}, x1={"type": "string"}), [{"x0": 1.5, "x1": "a"}]
    )

    assert data.dtype == object
    assert data.tolist() == [[1.5, "a"]]


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (np.array([1, 2]), [1, 2]),
        (np.array([1.5, -0.5], dtype=np.float32), [1.5, -0.5]),
        (np.array(["a", "b"]), ["a", "b"]),
        (np.array([True, False]), [True, False]),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array(["a", None], dtype=object), ["a", None]),
        (np.array([np.int64(1), np.float32(0.5), np.bool_(True), np.str_("x")], dtype=object), [1, 0.5, True, "x"]),
        (pd.Series([1, 2]), [1, 2]),
        (pd.DataFrame({"a": [1], "b": [2]}), [[1, 2]]),
        ([1, 2], [1, 2]),
        (np.array([2**64 - 1], dtype=np.uint64), [2**64 - 1]),
        (np.array([2**70, -1], dtype=object), [2**70, -1]),
        (np.array([0.1], dtype=np.float32), [float(np.float32(0.1))]),
        (np.array([["a", None], ["b", np.int64(1)]], dtype=object), [["a", None], ["b", 1]]),
    ],
    ids=repr,
)
def test_it_makes_json_of_predictions(answers: Any, expected: list[Any]) -> None:
    found = predictions_to_json(answers)

    assert found == expected
    assert json.loads(json.dumps(found)) == expected
    assert all(type(one) is type(other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize(
    ("answers", "detail"),
    [
        (np.array([1.0, np.nan]), "answered nan"),
        (np.array([[1.0, 2.0], [1.0, np.inf]]), "answered inf"),
        (np.array([0, np.float32("nan")], dtype=object), "answered nan"),
        (np.array([0, datetime(2026, 1, 1)], dtype=object), "answered a datetime"),  # noqa: DTZ001
        (np.array([0, 1j]), "answered a complex"),
        (np.array([0, 1], dtype=np.longdouble), "answered a longdouble"),
        (np.array([b"a"]), "answered a bytes"),
    ],
    ids=repr,
)
def test_it_refuses_an_answer_that_json_cannot_carry(answers: Any, detail: str) -> None:
    with pytest.raises(NotJsonable, match=detail) as refusal:
        predictions_to_json(answers)

    assert refusal.value.row in {0, 1}


@pytest.mark.parametrize(
    ("classes", "labels"),
    [
        (np.array(["no", "yes"]), ["no", "yes"]),
        (np.array([0, 1]), ["0", "1"]),
        (np.array([False, True]), ["false", "true"]),
        (np.array([np.bool_(False), np.bool_(True)], dtype=object), ["false", "true"]),
        (np.array([0.5, 1.0]), ["0.5", "1.0"]),
    ],
    ids=repr,
)
def test_it_names_probabilities_by_label(classes: Any, labels: list[str]) -> None:
    assert probabilities_to_json(np.array([[0.25, 0.75]]), classes) == [dict(zip(labels, [0.25, 0.75], strict=True))]


def test_it_lists_the_probabilities_of_several_outputs() -> None:
    answers = [np.array([[0.25, 0.75], [1, 0]]), np.array([[0.1, 0.2, 0.7], [0, 0, 1]])]
    classes = [np.array([0, 1]), np.array(["a", "b", "c"])]

    assert probabilities_to_json(answers, classes) == [
        [{"0": 0.25, "1": 0.75}, {"a": 0.1, "b": 0.2, "c": 0.7}],
        [{"0": 1.0, "1": 0.0}, {"a": 0.0, "b": 0.0, "c": 1.0}],
    ]


def test_it_spells_out_the_probabilities_of_a_classifier_chain() -> None:
    """A chain gives one column per output: the probability of its second label."""
    answers = probabilities_to_json(np.array([[0.25, 1.0]]), [np.array([0, 1]), np.array(["a", "b"])])

    assert answers == [[{"0": 0.75, "1": 0.25}, {"a": 0.0, "b": 1.0}]]


def test_it_refuses_probabilities_that_are_no_numbers() -> None:
    with pytest.raises(NotJsonable):
        probabilities_to_json(np.array([[np.nan, 1.0]]), np.array([0, 1]))


@pytest.mark.parametrize(("label", "text"), [("a", "a"), (1, "1"), (True, "true"), (np.False_, "false"), (1.5, "1.5")])
def test_it_writes_labels_as_text(label: Any, text: str) -> None:
    assert label_text(label) == text


def penguin_rows() -> st.SearchStrategy[list[dict[str, Any]]]:
    """Rows that the example's schema accepts, optional columns null or absent."""

    def measure(low: float, high: float) -> st.SearchStrategy[Any]:
        return st.none() | st.floats(low, high).map(lambda value: round(value, 3)) | st.integers(int(low), int(high))

    required = {"island": st.sampled_from(["Biscoe", "Dream", "Torgersen"]), "year": st.integers(1990, 2100)}
    optional = {
        "bill_length_mm": measure(20, 80), "bill_depth_mm": measure(8, 35), "flipper_length_mm": measure(120, 300),
        "body_mass_g": measure(1500, 9000), "sex": st.sampled_from([None, "female", "male"]),
    }  # fmt: skip
    return st.lists(st.fixed_dictionaries(required, optional=optional), min_size=1, max_size=6)


@pytest.fixture(scope="module")
def by_hand() -> Callable[[list[dict[str, Any]]], pd.DataFrame]:
    """Rows as a data scientist would get them: written to CSV and read back with the training dtypes."""
    from tests.pipelines import EXAMPLE

    columns = pd.read_csv(EXAMPLE / "penguins.csv").drop(columns="species")

    def frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(columns.columns))
        writer.writeheader()
        writer.writerows(rows)
        return pd.read_csv(io.StringIO(text.getvalue()), dtype=columns.dtypes.to_dict())

    return frame


@pytest.fixture(scope="module")
def penguin_schema() -> RecordSchema:
    from registry.sources.pydantic_classes import from_pydantic
    from tests.pipelines import EXAMPLE

    return RecordSchema.from_json_schema(from_pydantic(EXAMPLE / "validation.py", "RawData").schema)


@given(rows=penguin_rows())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_it_predicts_as_on_a_frame_made_by_hand(
    rows: list[dict[str, Any]], penguins_artifact: Any, penguin_schema: RecordSchema, by_hand: Any
) -> None:
    from registry.formats import loading

    pipeline = loading.load(penguins_artifact).pipeline

    data = frame_of(penguin_schema, penguin_schema.validated(rows))

    expected = by_hand(rows)[list(data.columns)]
    assert_frame_equal(data, expected, check_dtype=False)
    assert pipeline.predict(data).tolist() == pipeline.predict(expected).tolist()
    np.testing.assert_allclose(pipeline.predict_proba(data), pipeline.predict_proba(expected))
