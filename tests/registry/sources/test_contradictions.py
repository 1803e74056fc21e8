"""registry/sources/contradictions.py, through `explicit`."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from mlserve.errors import BadUpload
from registry.sources.schemas import ReadSchema, explicit

Y = [0, 1, 0, 1, 0, 1]
CLOSED, OPEN = OneHotEncoder(), OneHotEncoder(handle_unknown="ignore")


def written(node: dict[str, Any], values: Any, *steps: Any, sample: Any = ()) -> ReadSchema:
    """What becomes of a schema of one column a, for a pipeline whose steps were fitted on `values`."""
    frame = pd.DataFrame({"a": values})
    pipeline = make_pipeline(ColumnTransformer([("a", make_pipeline(*steps), ["a"])]), LogisticRegression())
    raw = {"type": "object", "properties": {"a": node}, "required": ["a"]}
    return explicit(raw, pipeline.fit(frame, Y), [{"a": value} for value in sample])


TEXTS, NUMBERS = ["1", "2", "3"] * 2, [1, 2, 3] * 2
DAYS = pd.to_datetime(["2026-01-31", "2026-02-28", "2026-03-31"] * 2)


@pytest.mark.parametrize(
    ("node", "values", "says"),
    [
        ({"type": "integer"}, TEXTS, "learned '1', '2', '3'.*Declare it as string \\(in Python str\\)"),
        ({"type": "string"}, NUMBERS, "learned 1, 2, 3.*Declare it as integer \\(in Python int\\)"),
        ({"type": "string"}, [True, False] * 3, "Declare it as boolean"),
        ({"enum": ["01", "02"]}, TEXTS, "allows '01', '02', but the encoder learned '1', '2', '3'.*no value in common"),
        ({"type": "string"}, DAYS, "learned datetimes. Declare it as date"),
    ],
    ids=["text codes", "number codes", "booleans", "spelling", "days"],
)
@pytest.mark.parametrize("encoder", [CLOSED, OPEN], ids=["closed", "open"])
def test_it_refuses_a_schema_that_the_encoder_cannot_mean(
    node: dict[str, Any], values: Any, says: str, encoder: Any
) -> None:
    with pytest.raises(BadUpload, match=f"(?s)column 'a'.*{says}"):
        written(node, values, encoder)


def test_it_finds_the_contradiction_behind_an_imputer() -> None:
    with pytest.raises(BadUpload, match="the encoder learned '1', '2', '3'"):
        written({"type": "integer"}, TEXTS, SimpleImputer(strategy="most_frequent"), OPEN)


def test_it_refuses_numbers_for_a_column_of_texts() -> None:
    frame = pd.DataFrame({"a": ["good room", "bad room"] * 3})
    pipeline = make_pipeline(ColumnTransformer([("a", TfidfVectorizer(), "a")]), LogisticRegression()).fit(frame, Y)

    with pytest.raises(BadUpload, match="the pipeline takes texts"):
        explicit({"type": "object", "properties": {"a": {"type": "number"}}}, pipeline, [])


@pytest.mark.parametrize(
    ("node", "values"),
    [
        ({"type": "number"}, NUMBERS),
        ({"type": "integer"}, [1.0, 2.0, 3.0] * 2),
        ({"type": "boolean"}, [0, 1] * 3),
        ({"type": "string", "format": "date"}, DAYS),
        ({"enum": ["1", "2"]}, TEXTS),
    ],
    ids=str,
)
def test_it_accepts_what_the_encoder_compares_as_equal(node: dict[str, Any], values: Any) -> None:
    assert written(node, values, OPEN).doubts == ()


def test_it_says_which_allowed_values_training_did_not_see() -> None:
    read = written({"enum": ["1", "9"]}, TEXTS, OPEN)

    assert read.schema.properties["a"]["enum"] == ["1", "9"]
    assert read.doubts == ("a: training did not see '9', which count as unknown values.",)


def test_it_allows_no_value_that_the_encoder_refuses() -> None:
    read = written({"enum": ["1", "9"]}, TEXTS, CLOSED)

    assert read.schema.properties["a"]["enum"] == ["1"]
    assert "refuses '9'" in read.doubts[0]
    assert written({"type": "string"}, TEXTS, CLOSED).schema.properties["a"]["enum"] == ["1", "2", "3"]


def test_it_shows_no_values_of_a_redacted_column() -> None:
    read = written({"type": "string", "x-stored": "no"}, TEXTS, CLOSED)

    assert read.schema.properties["a"] == {"type": "string", "x-stored": "no"}


def test_it_obeys_the_dtype_of_the_encoder() -> None:
    identifiers = [2**53, 2**53 + 1, 2**53 + 2] * 2

    assert written({"type": "number"}, identifiers, OPEN).schema.columns[0].dtype == "int64"
    assert written({"type": "integer"}, np.array(NUMBERS, "int8"), OPEN).schema.columns[0].dtype == "int8"


def test_it_takes_the_missing_marker_of_the_pipeline() -> None:
    node = {"type": ["string", "null"]}
    with_none = pd.Series(["1", "2", None] * 2, dtype=object)

    assert written(node, with_none, OPEN).schema.columns[0].missing == "none"
    assert (
        written({"type": ["number", "null"]}, NUMBERS, SimpleImputer(missing_values=-1)).schema.columns[0].missing
        == "value"
    )


@pytest.mark.parametrize(
    ("sample", "dtype"),
    [
        (["2026-01-31T12:00:00"], "datetime64"),
        (["2026-01-31T12:00:00Z", None], "datetime64[us, UTC]"),
        (["2026-01-31T12:00+0100", "2026-07-31T12:00:00-05:00"], "datetime64[us, UTC]"),
        (["2026-01-31"], "datetime64"),
        ([], "datetime64"),
    ],
)
def test_it_keeps_the_zone_that_the_sample_has(sample: list[Any], dtype: str) -> None:
    read = written({"type": ["string", "null"], "format": "date-time"}, NUMBERS, StandardScaler(), sample=sample)

    assert read.schema.columns[0].dtype == dtype


def test_it_refuses_a_sample_with_and_without_a_zone() -> None:
    sample = ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00"]

    with pytest.raises(BadUpload, match="some times of the column 'a' have an offset"):
        written({"type": "string", "format": "date-time"}, NUMBERS, StandardScaler(), sample=sample)


WRITTEN_DAYS = ["2026-01-31", "2026-02-28", "2026-03-31"] * 2


@pytest.mark.parametrize("format_", ["date", "date-time"])
@pytest.mark.parametrize("encoder", [CLOSED, OPEN], ids=["closed", "open"])
def test_dates_that_were_learned_as_texts_stay_texts(encoder: Any, format_: str) -> None:
    imputer = SimpleImputer(strategy="most_frequent")

    schema = written({"type": "string", "format": format_}, WRITTEN_DAYS, imputer, encoder).schema

    assert [column.dtype for column in schema.columns] == ["str"]
    assert schema.properties["a"].get("enum") == (WRITTEN_DAYS[:3] if encoder is CLOSED else None)


def test_it_refuses_dates_where_the_encoder_learned_other_texts() -> None:
    with pytest.raises(BadUpload, match=r"is a date, but the encoder learned the texts '28\.02"):
        written({"type": "string", "format": "date"}, ["31.01.2026", "28.02.2026"] * 3, OPEN)


@pytest.mark.parametrize(
    ("kind", "values", "enum"),
    [("boolean", [0, 1] * 3, [False, True]), ("integer", [False, True] * 3, [0, 1])],
    ids=["numbers", "booleans"],
)
def test_booleans_and_the_numbers_0_and_1_are_the_same_to_an_encoder(kind: str, values: Any, enum: list[Any]) -> None:
    schema = written({"type": kind}, values, CLOSED).schema

    assert [(type(value), value) for value in schema.properties["a"]["enum"]] == [(type(each), each) for each in enum]
    assert schema.validated([{"a": enum[1]}])


def test_it_refuses_booleans_where_the_encoder_learned_other_numbers() -> None:
    with pytest.raises(BadUpload, match="allows True, False, but the encoder learned 2, 3"):
        written({"type": "boolean"}, [2, 3] * 3, CLOSED)


def test_it_refuses_times_of_several_zones() -> None:
    moments = [pd.Timestamp("2026-01-31T10:00+02:00"), pd.Timestamp("2026-01-31T10:00+05:00")] * 3

    with pytest.raises(BadUpload, match="several time zones"):
        written({"type": "string", "format": "date-time"}, pd.Series(moments, dtype=object), CLOSED)
