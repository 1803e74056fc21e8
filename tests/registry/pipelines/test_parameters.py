"""The parameters of a pipeline as texts, whatever they are."""

from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from registry.pipelines.parameters import MAX_PARAMETERS, MAX_TEXT, is_parameters, parameters_of


class Odd(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """An estimator with one parameter."""

    def __init__(self, value: Any = None) -> None:
        self.value = value


class Mute:
    def get_params(self, deep: bool = True) -> dict[str, Any]:
        raise RuntimeError("nothing is said")

    def __repr__(self) -> str:
        raise RuntimeError("nothing is shown")


class Many(Mute):
    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return {f"parameter_{number:05}": number for number in range(5 * MAX_PARAMETERS)}


def test_it_names_each_part_and_each_parameter() -> None:
    columns = ColumnTransformer([("scale", StandardScaler(), ["age"]), ("encode", OneHotEncoder(), ["town"])])
    found = parameters_of(Pipeline([("columns", columns), ("model", LogisticRegression(C=0.5))]))

    assert found["estimators"] == {
        "": "Pipeline", "columns": "ColumnTransformer", "columns__encode": "OneHotEncoder",
        "columns__scale": "StandardScaler", "model": "LogisticRegression",
    }  # fmt: skip
    assert found["values"]["model__C"] == "0.5"
    assert found["values"]["columns__transformers"] == (
        "(('scale', StandardScaler, ('age')), ('encode', OneHotEncoder, ('town')))"
    )
    assert not [name for name in found["values"] if name.endswith("steps")]


def test_it_tells_what_a_search_has_chosen() -> None:
    search = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2)
    search.fit(np.arange(8).reshape(-1, 1), [0, 1] * 4)
    found = parameters_of(Pipeline([("model", search)]))

    assert found["values"]["model.best_params_"] == "('C': 0.1)"


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(list(range(10**6)), id="a-long-list"),
        pytest.param("x" * 10**6, id="a-long-text"),
        pytest.param(np.zeros(10**6), id="an-array"),
        pytest.param({"a": [[[[[[[[1]]]]]]]]}, id="deep"),
        pytest.param("\0\ud800", id="characters-that-cannot-be-stored"),
        pytest.param(float("nan"), id="not-a-number"),
        pytest.param(Mute, id="a-class"),
        pytest.param({Mute(): Mute()}, id="mute"),
    ],
)
def test_it_makes_a_short_text_of_anything(value: Any) -> None:
    found = parameters_of(Odd(value))

    assert is_parameters(found)
    found["values"]["value"].encode()
    assert "\0" not in found["values"]["value"]
    assert len(found["values"]["value"]) <= MAX_TEXT


def test_it_tells_long_values_apart() -> None:
    ours, theirs = (parameters_of(Odd("x" * 1000 + end))["values"]["value"] for end in "ab")

    assert ours != theirs


def test_it_writes_the_same_for_the_same_function_elsewhere_in_memory() -> None:
    def made() -> str:
        def step(rows: Any) -> Any:
            return rows

        return parameters_of(FunctionTransformer(step))["values"]["func"]

    assert made() == made()


@pytest.mark.parametrize(("pipeline", "count"), [(Mute(), 0), (Many(), MAX_PARAMETERS)], ids=["none", "very-many"])
def test_it_never_fails(pipeline: Any, count: int) -> None:
    found = parameters_of(pipeline)

    assert is_parameters(found)
    assert len(found["values"]) == count
