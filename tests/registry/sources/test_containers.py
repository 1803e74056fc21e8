"""Schemas of pipelines of texts, of dicts and of columns that are dropped; and what is guessed."""

from typing import Any

import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from mlserve.errors import BadUpload
from registry.sources.schemas import from_pipeline
from tests.registry.sources.test_schemas import CITIES, NUMBERS, Y, column, read, schema_of


@pytest.mark.parametrize("sample", [[], [{"review": "good room"}]], ids=["alone", "sample"])
def test_it_reads_a_pipeline_of_texts(sample: Any) -> None:
    texts = ["good room", "bad room"] * 3
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, Y)

    schema = schema_of(pipeline, sample)

    assert schema.container == "texts"
    assert schema.names == (("review",) if sample else ("text",))
    assert schema.properties[schema.names[0]] == {"type": "string"}


def test_it_refuses_two_columns_for_a_pipeline_of_texts() -> None:
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(["good room", "bad room"] * 3, Y)

    with pytest.raises(BadUpload, match="trained on a sequence of texts, so a sample row has one column"):
        from_pipeline(pipeline, [{"title": "x", "review": "y"}])


def test_it_reads_a_pipeline_of_dicts() -> None:
    rows = [{"city": "Bern", "age": 3}, {"city": "Chur", "age": 4.5}] * 3
    pipeline = make_pipeline(DictVectorizer(), LogisticRegression()).fit(rows, Y)

    schema = schema_of(pipeline, [])

    assert schema.container == "records"
    assert schema.properties == {
        "age": {"type": "number"},
        "city": {"type": "string", "x-training-values": ["Bern", "Chur"]},
    }
    assert schema.validated({"city": "Bern"})


def test_it_types_a_vectorized_column_without_a_sample() -> None:
    assert column(ColumnTransformer([("words", CountVectorizer(), "a")]), frame=CITIES) == {"type": "string"}


def test_it_ignores_the_columns_that_the_pipeline_drops() -> None:
    schema = read(ColumnTransformer([("a", OneHotEncoder(), ["a"])]), frame=CITIES)

    assert (schema.names, schema.ignored) == (("a",), ("b",))
    # Nothing of them is kept with a prediction.
    assert schema.validated([{"a": "Bern"}, {"a": "Bern", "b": ["whatever"]}]) == [{"a": "Bern"}] * 2


def test_it_asks_for_a_column_that_an_earlier_step_needs() -> None:
    first = SimpleImputer(strategy="most_frequent").set_output(transform="pandas")

    assert read(first, ColumnTransformer([("a", OneHotEncoder(), ["a"])]), frame=CITIES).names == ("a", "b")


def test_it_guesses_whole_numbers_and_says_so() -> None:
    """A function sees the difference between 50667 and 50667.0; what computes with numbers does not."""
    routed = ColumnTransformer(
        [("own", FunctionTransformer(lambda frame: frame), ["a"]), ("b", StandardScaler(), ["b"])]
    )
    pipeline = make_pipeline(routed, LogisticRegression()).fit(NUMBERS, Y)

    guessing = from_pipeline(pipeline, [{"a": 50667, "b": 1}])

    assert [column.dtype for column in guessing.schema.columns] == ["int64", "float64"]
    assert guessing.guessed == ("a",)


def test_it_doubts_a_sample_of_which_training_saw_nothing() -> None:
    pipeline = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()).fit(CITIES[["a"]], Y)

    assert from_pipeline(pipeline, [{"a": "bern"}]).doubts == (
        "Training saw none of the sample's values of a: to the pipeline, all are unknown.",
    )
    assert from_pipeline(pipeline, [{"a": "bern"}, {"a": "Bern"}]).doubts == ()


def test_it_refuses_learned_values_that_json_does_not_have() -> None:
    frame = pd.DataFrame({"a": pd.to_timedelta([1, 2, 3] * 2, unit="D")})
    pipeline = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(frame, Y)

    with pytest.raises(BadUpload, match=r"an encoder learned values of the type .*, which JSON cannot carry"):
        from_pipeline(pipeline, [])
