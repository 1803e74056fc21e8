import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.decomposition import PCA
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV, TunedThresholdClassifierCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer, KBinsDiscretizer, MinMaxScaler, StandardScaler

from registry.pipelines.routes import Arrival, arrivals, used_columns

X = pd.DataFrame({"a": [1.0, 2, 3, 4, 5, 6], "b": [2.0, 1, 4, 3, 6, 5], "c": [9.0, 8, 7, 6, 5, 4]})
Y = [0, 1, 0, 1, 0, 1]


def found(steps: list[Any], *, on_array: bool = False) -> list[tuple[str, list[str], bool]]:
    """What reaches the steps of a fitted pipeline but for its last one: columns that are followed, and whether raw."""
    pipeline = make_pipeline(*steps, LogisticRegression()).fit(X.to_numpy() if on_array else X, Y)
    return [
        (type(each.step).__name__, [origin.name for origin in each.origins if origin], is_all_raw(each))
        for each in arrivals(pipeline, [*X.columns])
        if not isinstance(each.step, LogisticRegression)
    ]


def is_all_raw(arrival: Arrival) -> bool:
    return all(origin is None or origin.is_raw for origin in arrival.origins)


@pytest.mark.parametrize(
    ("chosen", "names"),
    [
        (["a", "c"], ["a", "c"]),
        ([0, 2], ["a", "c"]),
        ([-1, 0], ["c", "a"]),
        (np.array([0, 2]), ["a", "c"]),
        (slice(0, 2), ["a", "b"]),
        (slice(1, None), ["b", "c"]),
        (slice(None), ["a", "b", "c"]),
        (slice("a", "b"), ["a", "b"]),
        (slice("b", None), ["b", "c"]),
        ([True, False, True], ["a", "c"]),
        (np.array([True, False, True]), ["a", "c"]),
        (pd.Series([False, False, True]), ["c"]),
        (pd.Index(["c", "a"]), ["c", "a"]),
        (lambda frame: ["b"], ["b"]),
        (lambda frame: np.array([False, True, True]), ["b", "c"]),
        (make_column_selector("a|b"), ["a", "b"]),
    ],
    ids=lambda value: "function" if inspect.isfunction(value) else str(value)[:40],
)
def test_it_follows_the_routes_of_a_column_transformer(chosen: Any, names: list[str]) -> None:
    columns = ColumnTransformer([("scale", StandardScaler(), chosen)])

    assert found([columns]) == [("StandardScaler", names, True)]


@pytest.mark.parametrize("chosen", ["a", 0], ids=str)
def test_it_follows_a_route_of_a_single_column(chosen: Any) -> None:
    to_frame: Callable[[Any], Any] = pd.DataFrame
    columns = ColumnTransformer([("one", FunctionTransformer(to_frame), chosen)])

    assert found([columns]) == [("FunctionTransformer", ["a"], True)]


@pytest.mark.parametrize("remainder", ["passthrough", "drop", MinMaxScaler()], ids=str)
def test_it_follows_the_remainder(remainder: Any) -> None:
    columns = ColumnTransformer([("scale", StandardScaler(), ["b"])], remainder=remainder)

    reached = {name: names for name, names, _ in found([columns])}

    assert reached.pop("StandardScaler") == ["b"]
    assert all(names == ["a", "c"] for names in reached.values())
    assert ("MinMaxScaler" in reached) == (not isinstance(remainder, str))


def test_it_follows_nested_pipelines() -> None:
    inner = make_pipeline(SimpleImputer(), "passthrough", StandardScaler())
    columns = ColumnTransformer([("inner", inner, ["a", "b"])])

    assert found([make_pipeline(columns)]) == [
        ("SimpleImputer", ["a", "b"], True),
        ("StandardScaler", ["a", "b"], True),
    ]


def test_it_follows_columns_out_of_a_column_transformer() -> None:
    """Encoded columns are lost, those beside them are not."""
    columns = ColumnTransformer(
        [
            ("bins", KBinsDiscretizer(2, quantile_method="averaged_inverted_cdf"), ["b"]),
            ("scale", StandardScaler(), ["c"]),
        ],
        remainder="passthrough",
    )

    assert found([columns, MinMaxScaler()])[-1] == ("MinMaxScaler", ["c", "a"], False)


def test_it_knows_that_values_are_no_longer_raw_behind_a_scaler() -> None:
    assert found([SimpleImputer(), StandardScaler(), MinMaxScaler()]) == [
        ("SimpleImputer", ["a", "b", "c"], True),
        ("StandardScaler", ["a", "b", "c"], True),
        ("MinMaxScaler", ["a", "b", "c"], False),
    ]


def test_it_follows_a_pipeline_fitted_on_an_array() -> None:
    assert found([SimpleImputer(), StandardScaler()], on_array=True)[1] == ("StandardScaler", ["a", "b", "c"], True)


@pytest.mark.parametrize("mixer", [PCA(), FunctionTransformer(pd.DataFrame.to_numpy)], ids=["pca", "function"])
def test_it_loses_the_names_behind_a_step_that_mixes_columns(mixer: Any) -> None:
    """Both keep the number of columns; one mixes them, the other could."""
    assert found([mixer, StandardScaler()]) == [(type(mixer).__name__, ["a", "b", "c"], True)]


def test_it_follows_the_columns_that_a_selection_keeps() -> None:
    assert found([SelectKBest(k=1), MinMaxScaler()])[-1][0] == "MinMaxScaler"
    assert len(found([SelectKBest(k=1), MinMaxScaler()])[-1][1]) == 1


def test_it_follows_each_branch_of_a_union() -> None:
    union = FeatureUnion([("scale", StandardScaler()), ("same", "passthrough")])

    assert found([union, MinMaxScaler()])[-1] == ("MinMaxScaler", ["a", "b", "c", "a", "b", "c"], False)


def test_it_follows_columns_beside_the_indicators_of_an_imputer() -> None:
    gaps = X.mask(X == 1.0)
    pipeline = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler(), LogisticRegression()).fit(gaps, Y)

    scaled = next(each for each in arrivals(pipeline, [*X.columns]) if isinstance(each.step, StandardScaler))

    assert [origin and origin.name for origin in scaled.origins] == ["a", "b", "c", None, None]
    assert all(origin.is_filled for origin in scaled.origins if origin)


INNER = make_pipeline(StandardScaler(), LogisticRegression())


@pytest.mark.parametrize(
    "around",
    [
        GridSearchCV(INNER, {"logisticregression__C": [1, 2]}, cv=2),
        CalibratedClassifierCV(INNER, cv=2),
        FixedThresholdClassifier(INNER, threshold=0.4),
        TunedThresholdClassifierCV(INNER, cv=2),
        VotingClassifier([("one", INNER)]),
        StackingClassifier([("one", INNER)], cv=2),
        OneVsRestClassifier(INNER),
        TransformedTargetRegressor(
            make_pipeline(StandardScaler(), LinearRegression()), func=np.log1p, inverse_func=np.expm1
        ),
    ],
    ids=lambda around: type(around).__name__,
)
def test_it_looks_into_what_is_wrapped(around: Any) -> None:
    reached = list(arrivals(around.fit(X, Y), [*X.columns]))

    assert any(isinstance(each.step, StandardScaler) for each in reached)


DROPPING = ColumnTransformer([("scale", StandardScaler(), ["c"]), ("drop", "drop", ["a"])])


@pytest.mark.parametrize(
    ("steps", "used"),
    [
        ([DROPPING], {"c"}),
        (["passthrough", DROPPING], {"c"}),
        ([make_pipeline(DROPPING)], {"c"}),
        ([FeatureUnion([("one", DROPPING), ("two", ColumnTransformer([("b", MinMaxScaler(), ["b"])]))])], {"b", "c"}),
        ([ColumnTransformer([("scale", StandardScaler(), ["c"])], remainder="passthrough")], {"a", "b", "c"}),
        ([StandardScaler().set_output(transform="pandas"), DROPPING], {"a", "b", "c"}),
        ([FeatureUnion([("one", DROPPING), ("two", "passthrough")])], {"a", "b", "c"}),
    ],
    ids=["first", "behind passthrough", "nested", "union", "remainder", "behind a scaler", "beside passthrough"],
)
def test_it_knows_which_columns_are_used(steps: list[Any], used: set[str]) -> None:
    pipeline = make_pipeline(*steps, LogisticRegression()).fit(X, Y)

    assert used_columns(pipeline, [*X.columns]) == used
    assert len(pipeline.predict(X[sorted(used)])) == len(X)
