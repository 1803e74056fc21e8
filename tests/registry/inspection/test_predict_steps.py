"""The next step for a pipeline that cannot predict its sample, and that the step works."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from registry.inspection.inspect import inspect
from registry.inspection.version_request import SchemaSource, VersionRequest
from tests.registry.inspection.test_inspect import failure_of, written

Save = Callable[..., Path]
FRAME = pd.DataFrame({"a": [1.0, None, 3, 4], "b": [0.0, 1, 0, 1]})


class WantsCategories(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Refuses columns of texts in the words of LightGBM and XGBoost, which take the dtype category."""

    def fit(self, X: Any, y: Any) -> "WantsCategories":  # noqa: N803 - scikit-learn's names
        self.feature_names_in_, self.n_features_in_ = X.columns.to_numpy(dtype=object), X.shape[1]
        self.classes_ = np.array([0, 1])
        return self

    def predict(self, X: Any) -> Any:  # noqa: N803
        if not all(isinstance(dtype, pd.CategoricalDtype) for dtype in X.dtypes):
            raise ValueError("DataFrame.dtypes for data must be int, float, bool or category.")
        return np.zeros(len(X), dtype=int)


def of_frames() -> Pipeline:
    second = ColumnTransformer([("scale", StandardScaler(), ["a"])])
    with sklearn.config_context(transform_output="pandas"):
        return make_pipeline(SimpleImputer(), second, LogisticRegression()).fit(FRAME, [0, 1, 0, 1])


def test_it_advises_to_save_what_was_set_for_the_training(save: Save, tmp_path: Path) -> None:
    failed = failure_of(save(of_frames()), VersionRequest())

    assert failed.name == "predicts"
    assert "set_output(transform='pandas')" in failed.fix
    assert inspect(save(of_frames().set_output(transform="pandas")), VersionRequest()).report.is_accepted


def test_it_advises_to_say_that_a_column_is_of_categories(save: Save, tmp_path: Path) -> None:
    frame = pd.DataFrame({"kind": pd.Categorical(["x", "y"])})
    artifact = save(Pipeline([("model", WantsCategories().fit(frame, [0, 1]))]))
    sample = written(tmp_path / "sample.json", json.dumps([{"kind": "x"}, {"kind": "y"}]))
    code = (
        "from typing import Literal\nfrom pydantic import BaseModel, Field\nclass RawData(BaseModel):\n"
        "    kind: Literal['x', 'y'] = Field(json_schema_extra={'x-dtype': 'category'})\n"
    )
    schema = SchemaSource(written(tmp_path / "validation.py", code), "pydantic")

    failed = failure_of(artifact, VersionRequest(sample=sample))

    assert "x-dtype" in failed.fix
    assert inspect(artifact, VersionRequest(sample=sample, schema=schema)).report.is_accepted


@pytest.mark.parametrize("message", ["", "division by zero"])
def test_it_advises_nothing_where_it_knows_no_step(message: str) -> None:
    from registry.inspection.predict_steps import step_for

    assert step_for(ValueError(message)) == ""
