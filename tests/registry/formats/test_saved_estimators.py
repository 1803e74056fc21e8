"""Every estimator of scikit-learn, saved in every way, is let in and answers as before."""

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import sklearn.experimental.enable_iterative_imputer  # noqa: F401 - makes it known
import skops.io
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.impute import IterativeImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils import all_estimators

from registry.formats import loading
from tests import pipelines

WAYS: Mapping[str, Callable[[Any, Path], Any]] = {
    "pickle 0": lambda pipeline, path: path.write_bytes(pickle.dumps(pipeline, 0)),
    "pickle 2": lambda pipeline, path: path.write_bytes(pickle.dumps(pipeline, 2)),
    "pickle 4": lambda pipeline, path: path.write_bytes(pickle.dumps(pipeline, 4)),
    "pickle 5": lambda pipeline, path: path.write_bytes(pickle.dumps(pipeline, 5)),
    "joblib": joblib.dump,
    "joblib, zlib": lambda pipeline, path: joblib.dump(pipeline, path, compress=3),
    "joblib, gzip": lambda pipeline, path: joblib.dump(pipeline, path, compress=("gzip", 3)),
    "joblib, xz": lambda pipeline, path: joblib.dump(pipeline, path, compress=("xz", 1)),
    "joblib, bz2": lambda pipeline, path: joblib.dump(pipeline, path, compress=("bz2", 1)),
    "skops": skops.io.dump,
}


def loaded(pipeline: Any, path: Path, way: str) -> Any:
    save: Any = WAYS[way]
    save(pipeline, path)
    refused = loading.refused(loading.read_names(path))
    assert [str(each.reference) for each in refused] == []
    return loading.load(path).pipeline


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    rows = np.abs(random.normal(size=(40, 4))) + 0.1
    return rows, (rows[:, 0] > rows[:, 1]).astype(int)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["mixed", "boosting with categories", "forest", "ufuncs", "frozen", "iterative"])
def test_it_lets_in_what_people_train(tmp_path: Path, data: Any, way: str, kind: str) -> None:
    rows, target = data
    categories = np.column_stack([np.arange(40) % 3, rows])
    kinds: dict[str, Callable[[], Any]] = {
        "mixed": lambda: (pipelines.mixed_classifier(), pipelines.mixed_frame()[0]),
        "boosting with categories": lambda: (
            Pipeline(
                [("model", HistGradientBoostingClassifier(max_iter=3, categorical_features=[0], early_stopping=True))]
            ).fit(categories, np.arange(40) % 3),
            categories,
        ),
        "forest": lambda: (Pipeline([("model", RandomForestRegressor(3))]).fit(rows, target), rows),
        "ufuncs": lambda: (
            Pipeline([("log", FunctionTransformer(np.log1p, inverse_func=np.expm1)), ("model", Ridge())]).fit(
                rows, target
            ),
            rows,
        ),
        "frozen": lambda: (
            Pipeline([("model", CalibratedClassifierCV(FrozenEstimator(LogisticRegression().fit(rows, target))))]).fit(
                rows, target
            ),
            rows,
        ),
        "iterative": lambda: (
            Pipeline([("impute", IterativeImputer(max_iter=2)), ("model", Ridge())]).fit(rows, target),
            rows,
        ),
    }
    pipeline, given = kinds[kind]()
    assert np.array_equal(loaded(pipeline, tmp_path / "model", way).predict(given), pipeline.predict(given))


def test_it_lets_in_frames(tmp_path: Path) -> None:
    """A table that a step was given lies in the file."""
    import pandas as pd

    frame = pd.DataFrame({"a": [1.0], "b": ["x"]}, index=pd.Index(["i"]))
    steps = [("keep", FunctionTransformer(kw_args={"frame": frame, "column": frame["a"]})), ("model", Ridge())]

    for way in set(WAYS) - {"skops"}:
        keep = loaded(Pipeline(steps), tmp_path / "model", way).named_steps["keep"]
        assert keep.kw_args["frame"].equals(frame)


def answer_of(pipeline: Any, rows: np.ndarray) -> np.ndarray:
    answer = pipeline.predict(rows) if hasattr(pipeline, "predict") else pipeline.transform(rows)
    return answer.toarray() if hasattr(answer, "toarray") else np.asarray(answer)


def fitted(cls: type, data: tuple[np.ndarray, np.ndarray]) -> Any | None:
    """With its defaults on a little data; None for one that cannot answer for that."""
    if not hasattr(cls, "predict") and not hasattr(cls, "transform"):
        return None
    try:
        pipeline = Pipeline([("scale", StandardScaler(with_mean=False)), ("model", cls())]).fit(*data)
        answer_of(pipeline, data[0])
    except (TypeError, ValueError, AttributeError, NotImplementedError):
        return None
    return pipeline


@pytest.mark.filterwarnings("ignore")  # of estimators on so little data
def test_it_lets_in_every_estimator(tmp_path: Path, data: tuple[np.ndarray, np.ndarray]) -> None:
    tried, refused = 0, []
    for _, cls in all_estimators():
        pipeline = fitted(cls, data)
        if pipeline is None:
            continue
        tried += 1
        for way in ("pickle 2", "joblib"):
            path = tmp_path / "model"
            WAYS[way](pipeline, path)
            names = loading.refused(loading.read_names(path))
            if names or not np.array_equal(
                answer_of(loading.load(path).pipeline, data[0]), answer_of(pipeline, data[0]), equal_nan=True
            ):
                refused.append((cls.__name__, way, [str(each.reference) for each in names]))

    assert refused == []
    assert tried > 140
