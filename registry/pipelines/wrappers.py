"""scikit-learn's estimators around other estimators: which of them pass their rows on unchanged. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

# Where each keeps what it has fitted. Left out: those that change or choose columns (Bagging, ClassifierChain, RFE).
_FITTED: Mapping[str, str] = {
    "CalibratedClassifierCV": "calibrated_classifiers_",
    "FixedThresholdClassifier": "estimator_",
    "FrozenEstimator": "estimator",
    "GridSearchCV": "best_estimator_",
    "HalvingGridSearchCV": "best_estimator_",
    "HalvingRandomSearchCV": "best_estimator_",
    "MultiOutputClassifier": "estimators_",
    "MultiOutputRegressor": "estimators_",
    "OneVsRestClassifier": "estimators_",
    "RandomizedSearchCV": "best_estimator_",
    "SelfTrainingClassifier": "estimator_",
    "StackingClassifier": "estimators_",
    "StackingRegressor": "estimators_",
    "TransformedTargetRegressor": "regressor_",
    "TunedThresholdClassifierCV": "estimator_",
    "VotingClassifier": "estimators_",
    "VotingRegressor": "estimators_",
}


def wrapped(estimator: Any) -> list[Any]:
    """The fitted estimators that get the same rows as `estimator` does; none for one that wraps nothing."""
    fitted = getattr(estimator, _FITTED.get(type(estimator).__name__, ""), None)
    if fitted is None:
        return []
    inner = list(fitted) if isinstance(fitted, list | tuple) else [fitted]
    # CalibratedClassifierCV keeps a layer of its own around each.
    return [each.estimator if type(each).__name__ == "_CalibratedClassifier" else each for each in inner]


def as_pipeline(candidate: Any) -> Any:
    """A fitted wrapper around a Pipeline as the Pipeline that asks it; anything else as it is."""
    from sklearn.pipeline import Pipeline

    if isinstance(candidate, Pipeline) or not any(isinstance(each, Pipeline) for each in _all_wrapped(candidate)):
        return candidate
    return Pipeline([("model", candidate)])


def _all_wrapped(estimator: Any) -> Iterator[Any]:
    for inner in wrapped(estimator):
        yield inner
        yield from _all_wrapped(inner)
