from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import RandomForestClassifier, StackingClassifier, VotingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV, TunedThresholdClassifierCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from registry.pipelines.calls import require_fitted_pipeline
from registry.pipelines.wrappers import as_pipeline, wrapped

X = pd.DataFrame({"a": [1.0, 2, 3, 4, 5, 6], "b": [2.0, 1, 4, 3, 6, 5]})
Y = np.array([0, 1, 0, 1, 0, 1])
INNER = make_pipeline(StandardScaler(), LogisticRegression())


@pytest.mark.parametrize(
    ("around", "target"),
    [
        (GridSearchCV(INNER, {"logisticregression__C": [1, 2]}, cv=2), Y),
        (CalibratedClassifierCV(INNER, cv=2), Y),
        (FixedThresholdClassifier(INNER, threshold=0.4), Y),
        (TunedThresholdClassifierCV(INNER, cv=2), Y),
        (VotingClassifier([("one", INNER)]), Y),
        (StackingClassifier([("one", INNER)], cv=2), Y),
        (OneVsRestClassifier(INNER), Y),
        (MultiOutputClassifier(INNER), np.column_stack([Y, 1 - Y])),
        (TransformedTargetRegressor(make_pipeline(StandardScaler(), LinearRegression())), Y),
        (FixedThresholdClassifier(CalibratedClassifierCV(INNER, cv=2), threshold=0.4), Y),
    ],
    ids=["search", "calibrated", "fixed", "tuned", "voting", "stacking", "rest", "outputs", "target", "twice"],
)
def test_it_serves_a_wrapper_around_a_pipeline_as_it_is(around: Any, target: Any) -> None:
    served = as_pipeline(around.fit(X, target))

    require_fitted_pipeline(served)
    assert served.predict(X).tolist() == around.predict(X).tolist()
    assert all(isinstance(each, Pipeline | CalibratedClassifierCV) for each in wrapped(around))


@pytest.mark.parametrize(
    "other", [INNER, RandomForestClassifier(2), GridSearchCV(LogisticRegression(), {}), {}], ids=str
)
def test_it_leaves_everything_else_as_it_is(other: Any) -> None:
    assert as_pipeline(other) is other
