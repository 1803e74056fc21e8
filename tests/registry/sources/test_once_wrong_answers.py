"""Answers that were once wrong or refused: each kind with the trainer's own rows."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    BaggingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
)
from sklearn.feature_extraction import DictVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
)
from sklearn.semi_supervised import SelfTrainingClassifier

from registry.sources.schemas import explicit, from_pipeline
from tests.registry.sources.test_served_answers import ROWS, Y, as_json, lengths_of_texts, require_same_answers

NUMBERED = pd.DataFrame({"code": [1, 22, 333, 4] * 10, "size": [0.5, 1.5, 7.0, 9.25] * 10})
LENGTHS = FunctionTransformer(lengths_of_texts)


@pytest.mark.parametrize(
    "first",
    [
        make_pipeline(SimpleImputer(strategy="most_frequent"), LENGTHS),
        make_pipeline(SimpleImputer(strategy="constant", fill_value=0), LENGTHS),
        ColumnTransformer([("number", StandardScaler(), ["code"]), ("text", LENGTHS, ["code"])]),
        FeatureUnion([("number", StandardScaler()), ("text", LENGTHS)]),
    ],
    ids=["most frequent", "constant", "beside a scaler", "union"],
)
def test_it_keeps_whole_numbers_where_a_function_sees_them(first: Any) -> None:
    pipeline = make_pipeline(first, RandomForestClassifier(5, random_state=0)).fit(NUMBERED[["code"]], Y)

    require_same_answers(pipeline, NUMBERED[["code"]], as_json(NUMBERED[["code"]]))
    assert from_pipeline(pipeline, as_json(NUMBERED[["code"]])).guessed == ("code",)


def test_it_keeps_whole_numbers_within_a_bag_of_pipelines() -> None:
    frame = NUMBERED[["code"]]
    pipeline = make_pipeline(BaggingClassifier(make_pipeline(LENGTHS, LogisticRegression()), 3, random_state=0))

    require_same_answers(pipeline.fit(frame, Y), frame, as_json(frame))


def test_it_reads_nothing_of_the_values_from_a_constant() -> None:
    frame = pd.DataFrame({"code": pd.Series([1, 22, 333, np.nan] * 10, dtype=object)})
    imputer = SimpleImputer(strategy="constant", fill_value="none")
    pipeline = make_pipeline(imputer, LENGTHS, RandomForestClassifier(5, random_state=0)).fit(frame, Y)

    rows = [{"code": value} for value in [1, 22, 333, None] * 10]

    schema = from_pipeline(pipeline, rows).schema
    assert schema.validated(rows) == rows


@pytest.mark.parametrize("container", ["frame", "array"])
@pytest.mark.parametrize(
    "around",
    [
        lambda inner: StackingClassifier(
            [("inner", inner)], final_estimator=RandomForestClassifier(5, random_state=0), passthrough=True
        ),
        SelfTrainingClassifier,
        lambda inner: BaggingClassifier(inner, 3, random_state=0),
    ],
    ids=["stacking", "self-training", "bagging"],
)
def test_it_gives_whole_rows_to_a_wrapper_that_looks_at_them(around: Any, container: str) -> None:
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(ROWS, 3)), columns=["u", "v", "w"])
    data: Any = frame if container == "frame" else frame.to_numpy()
    inner = make_pipeline(ColumnTransformer([("two", StandardScaler(), [0, 2])]), LogisticRegression())
    answers = np.where(np.arange(ROWS) % 5 == 0, -1, Y) if around is SelfTrainingClassifier else Y
    pipeline = make_pipeline(around(inner)).fit(data, answers)

    require_same_answers(pipeline, data, as_json(frame))


def test_it_takes_a_name_that_stands_for_a_dropped_column() -> None:
    array = np.random.default_rng(0).normal(size=(ROWS, 3))
    first = ColumnTransformer([("two", StandardScaler(), [0, 2])])
    pipeline = make_pipeline(first, RandomForestClassifier(5, random_state=0)).fit(array, Y)

    require_same_answers(pipeline, array, [{"x0": row[0], "x1": row[2]} for row in array.tolist()])


@pytest.mark.parametrize("marker", ["?", "", -999])
@pytest.mark.parametrize("encoder", [OneHotEncoder(), OrdinalEncoder()], ids=["one-hot", "ordinal"])
def test_it_takes_the_value_that_stands_for_missing_as_it_is(marker: Any, encoder: Any) -> None:
    values = ["a", "b"] if isinstance(marker, str) else [1, 2]
    frame = pd.DataFrame({"a": [*values, marker, values[0]] * 10})
    imputer = SimpleImputer(missing_values=marker, strategy="most_frequent")
    pipeline = make_pipeline(imputer, encoder, RandomForestClassifier(5, random_state=0)).fit(frame, Y)

    require_same_answers(pipeline, frame, as_json(frame))
    require_same_answers(pipeline, frame, [{"a": None if row["a"] == marker else row["a"]} for row in as_json(frame)])


@pytest.mark.parametrize("dtype", ["boolean", "category"])
def test_it_keeps_booleans_that_the_encoder_took_for_numbers(dtype: str) -> None:
    values: list[Any] = [True, False, None, True] if dtype == "boolean" else [True, False, False, True]
    frame = pd.DataFrame({"a": pd.Series(values * 10, dtype=dtype)})
    pipeline = make_pipeline(OneHotEncoder(), RandomForestClassifier(5, random_state=0)).fit(frame, Y)

    require_same_answers(pipeline, frame, as_json(frame))


def test_it_gives_none_among_booleans_to_an_imputer_of_none() -> None:
    frame = pd.DataFrame({"a": pd.Series([True, False, None, True] * 10, dtype=object), "b": np.arange(ROWS) % 5})
    imputer = SimpleImputer(missing_values=None, strategy="most_frequent")
    first = ColumnTransformer([("a", imputer, ["a"])], remainder="passthrough")
    pipeline = make_pipeline(first, HistGradientBoostingClassifier(max_iter=5)).fit(frame, Y)

    require_same_answers(pipeline, frame, as_json(frame))


def test_it_serves_an_array_that_counts_days() -> None:
    array = np.random.default_rng(0).choice(np.array(["2026-01-31", "2026-02-28"], dtype="datetime64[D]"), (ROWS, 2))
    pipeline = make_pipeline(OneHotEncoder(), RandomForestClassifier(5, random_state=0)).fit(array, Y)

    require_same_answers(pipeline, array, as_json(pd.DataFrame(array, columns=["from", "to"])))


def test_it_serves_texts_that_are_computed_with_as_numbers() -> None:
    frame = pd.DataFrame({"a": ["1", "2.5", "3", "4"] * 10})
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame, Y)

    require_same_answers(pipeline, frame, as_json(frame))


def test_it_doubts_a_null_where_training_had_two_kinds() -> None:
    frame = pd.DataFrame({"a": pd.Series(["a", "b", None, np.nan] * 10, dtype=object)})
    pipeline = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(frame, Y)

    (doubt,) = from_pipeline(pipeline, as_json(frame)).doubts

    assert doubt.startswith("Training had None and NaN in a,")


class WithoutNames(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    def fit(self, _given: Any, _answers: Any = None) -> "WithoutNames":
        return self

    def transform(self, given: Any) -> Any:
        return given.to_numpy()


def test_it_doubts_the_order_where_the_pipeline_names_no_columns() -> None:
    pipeline = make_pipeline(WithoutNames(), StandardScaler(), LogisticRegression()).fit(NUMBERED, Y)

    doubts = from_pipeline(pipeline, as_json(NUMBERED[["size", "code"]])).doubts

    assert doubts == ("The pipeline does not name its columns, so their order may count. Here it is size, code.",)


def test_it_guesses_a_gap_that_a_function_sees() -> None:
    frame = pd.DataFrame({"a": pd.Series(["a", "b", None, "c"] * 10, dtype=object)})
    pipeline = make_pipeline(SimpleImputer(strategy="most_frequent"), LENGTHS, LogisticRegression()).fit(frame, Y)

    assert from_pipeline(pipeline, as_json(frame)).guessed == ("a",)


def test_it_gives_a_null_of_a_dict_as_the_trainer_did() -> None:
    """DictVectorizer takes None for a missing number, and an absent key for nought."""
    records: list[dict[str, Any]] = [{"a": 1.0, "b": None}, {"a": 2.0, "b": 3.0}, {"a": 4.0}, {"b": 5.0}] * (ROWS // 4)
    pipeline = make_pipeline(DictVectorizer(sparse=False), HistGradientBoostingClassifier(max_iter=5)).fit(records, Y)

    require_same_answers(pipeline, records, records)


def test_it_doubts_floats_for_whole_numbers_that_a_function_sees() -> None:
    pipeline = make_pipeline(LENGTHS, LogisticRegression()).fit(NUMBERED, Y)
    numbers = {"type": "object", "properties": {name: {"type": "number"} for name in NUMBERED}}

    read = explicit(numbers, pipeline, as_json(NUMBERED))

    assert read.doubts == (
        "code: the sample has whole numbers, and a function gets floats. If training had integers, say so.",
    )
