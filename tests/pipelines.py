"""Real artifacts for tests: small pipelines of every kind that mlserve must serve or refuse."""

import os
import runpy
import sys
import time
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import sklearn
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "penguins"


def train_penguins(path: Path) -> Path:
    """The example's own training script, as a user runs it."""
    arguments = sys.argv
    sys.argv = ["train.py", "--out", str(path)]
    try:
        runpy.run_path(str(EXAMPLE / "train.py"), run_name="__main__")
    finally:
        sys.argv = arguments
    return path


def save(pipeline: Any, path: Path, **options: Any) -> Path:
    joblib.dump(pipeline, path, **options)
    return path


def mixed_frame(rows: int = 60) -> tuple[pd.DataFrame, np.ndarray]:
    """Numbers with gaps, a category with gaps and a text with leading zeros; and a target."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": random.integers(18, 90, rows).astype(float),
            "city": random.choice(["Bern", "Basel", "Chur"], rows).astype(object),
            "postcode": random.choice(["0123", "4567", "0890"], rows).astype(object),
        }
    )
    frame.loc[3, "age"] = np.nan
    frame.loc[5, "city"] = np.nan
    target = np.where(frame["age"].fillna(50) > 50, "old", "young")
    return frame, target


def mixed_classifier() -> Pipeline:
    """A ColumnTransformer with imputers, scaler and one-hot encoder, fitted on `mixed_frame`."""
    text = Pipeline(
        [("impute", SimpleImputer(strategy="most_frequent")), ("encode", OneHotEncoder(handle_unknown="ignore"))]
    )
    columns = ColumnTransformer(
        [
            ("numbers", Pipeline([("impute", SimpleImputer()), ("scale", StandardScaler())]), ["age"]),
            ("texts", text, ["city", "postcode"]),
        ]
    )
    return Pipeline([("columns", columns), ("model", LogisticRegression())]).fit(*mixed_frame())


def array_regressor() -> Pipeline:
    """Fitted on an array of shape (40, 3): knows no column names."""
    data = np.random.default_rng(0).normal(size=(40, 3))
    return Pipeline([("scale", StandardScaler()), ("model", LinearRegression())]).fit(data, data @ [1.0, 2.0, 3.0])


def several_outputs() -> Pipeline:
    """A regressor with two outputs per row, fitted on a frame of a and b."""
    frame = pd.DataFrame({"a": [1.0, 2, 3, 4], "b": [0.0, 1, 0, 1]})
    return Pipeline([("model", LinearRegression())]).fit(frame, frame.to_numpy() * 2)


def not_batchable() -> Pipeline:
    """Looks at the rows it is given: the answer for a row depends on its neighbours."""
    frame = pd.DataFrame({"a": [1.0, 2, 3, 4], "b": [0.0, 1, 0, 1]})
    centre = FunctionTransformer(subtract_mean_of_rows)
    return Pipeline([("centre", centre), ("model", LinearRegression())]).fit(frame, [1.0, 2, 3, 4])


def subtract_mean_of_rows(frame: pd.DataFrame) -> pd.DataFrame:
    return frame - frame.mean()


def raises_above_100() -> Pipeline:
    """Raises for a row whose `a` is above 100, in the middle of its batch."""
    frame = pd.DataFrame({"a": [1.0, 2, 3, 4], "b": [0.0, 1, 0, 1]})
    check = FunctionTransformer(refuse_above_100)
    return Pipeline([("check", check), ("model", LinearRegression())]).fit(frame, [1.0, 2, 3, 4])


def refuse_above_100(frame: pd.DataFrame) -> pd.DataFrame:
    if (frame["a"] > 100).any():
        raise ValueError("a must not exceed 100")
    return frame


def relabelled(artifact: Path) -> Pipeline:
    """The pipeline of `artifact` as other bytes: the same answers under another step name."""
    pipeline: Pipeline = joblib.load(artifact)
    return Pipeline([(f"{name}_again", step) for name, step in pipeline.steps])


# As long as the installed version's name, so that it can be replaced inside a pickle.
OTHER_SKLEARN = "0" + sklearn.__version__[1:]


def with_other_sklearn(path: Path) -> Path:
    """The uncompressed artifact at `path` as if another scikit-learn had written it."""
    here = sklearn.__version__.encode()
    content = path.read_bytes()
    assert here in content
    path.write_bytes(content.replace(here, OTHER_SKLEARN.encode()))
    return path


def misbehaves() -> Pipeline:
    """Takes `a` seconds for each row, and ends its process where `b` is above 1."""
    frame = pd.DataFrame({"a": [0.0, 0.0], "b": [0.0, 1.0]})
    return Pipeline([("obey", FunctionTransformer(obey)), ("model", LinearRegression())]).fit(frame, [1.0, 2.0])


def obey(frame: pd.DataFrame) -> pd.DataFrame:
    time.sleep(frame["a"].sum())
    if (frame["b"] > 1).any():
        os._exit(3)
    return frame


class Stateless(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A transformer of one's own that learns nothing, tells no names and has no attribute to show for its fit."""

    def fit(self, X: Any, y: Any = None) -> "Stateless":  # noqa: N803 - scikit-learn's names
        return self

    def transform(self, X: Any) -> Any:  # noqa: N803
        return X


def needs_several_rows() -> Pipeline:
    """Fails on a single row."""
    frame = pd.DataFrame({"a": [1.0, 2, 3, 4], "b": [0.0, 1, 0, 1]})
    return Pipeline([("check", FunctionTransformer(refuse_a_single_row)), ("model", LinearRegression())]).fit(
        frame, [1.0, 2, 3, 4]
    )


def refuse_a_single_row(frame: pd.DataFrame) -> pd.DataFrame:
    if len(frame) == 1:
        raise ValueError("one row is not enough")
    return frame


class AnswersWithoutNumber(BaseEstimator):  # type: ignore[misc]
    """Its `predict` answers NaN."""

    def fit(self, X: Any, y: Any = None) -> "AnswersWithoutNumber":  # noqa: N803
        self.fitted_ = True
        return self

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        return np.full(len(X), np.nan)


class AnswersOnce(AnswersWithoutNumber):
    """Its `predict` gives one answer, however many rows there are."""

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        return np.array([1.0])


class RunsWhenLoaded:
    """A pickle that runs Python code as it is loaded, which is what any pickle can do."""

    def __init__(self, code: str) -> None:
        self.code = code

    def __reduce__(self) -> Any:
        return run, (self.code,)


def run(code: str) -> None:
    """What a module that is trusted, but should not be, can do."""
    exec(code, {})
