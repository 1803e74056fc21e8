"""scikit-learn's estimators around other estimators: which of them pass their rows on unchanged. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

# Where each keeps what it has fitted. Left out: those that change or choose columns (ClassifierChain, RFE).
_FITTED: Mapping[str, str] = {
    "BaggingClassifier": "estimators_",
    "BaggingRegressor": "estimators_",
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


_COMPARING = ("BaggingClassifier", "BaggingRegressor", "SelfTrainingClassifier")


def wrapped(estimator: Any) -> list[Any]:
    """The fitted estimators that get the same rows as `estimator` does; none for one that wraps nothing."""
    fitted = getattr(estimator, _FITTED.get(type(estimator).__name__, ""), None)
    if fitted is None or not _gives_all_columns(estimator):
        return []
    inner = list(fitted) if isinstance(fitted, list | tuple) else [fitted]
    # CalibratedClassifierCV keeps a layer of its own around each.
    return [each.estimator if type(each).__name__ == "_CalibratedClassifier" else each for each in inner]


def _gives_all_columns(estimator: Any) -> bool:
    chosen = getattr(estimator, "estimators_features_", ())
    return all(list(each) == list(range(estimator.n_features_in_)) for each in chosen)


def takes_whole_rows(estimator: Any) -> bool:
    """Whether a wrapper itself looks at its rows, also at columns that the pipelines inside drop.

    Stacking with `passthrough` gives them to its final estimator; the others compare their number and names.
    """
    return getattr(estimator, "passthrough", False) is True or type(estimator).__name__ in _COMPARING


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
