"""What mlserve requires of a fitted scikit-learn pipeline, and how it calls one. Pure; needs scikit-learn."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from registry.pipelines.frames import NotJsonable, predictions_to_json, probabilities_to_json, to_input
from registry.schema.record import RecordSchema, Row

# The methods that a caller may ask for with `?outputs=`, with the name of each in the result.
RESULT_NAMES: Mapping[str, str] = {
    "predict": "predictions",
    "predict_proba": "probabilities",
    "decision_function": "decision_function",
}


class Unusable(Exception):
    """An object that mlserve cannot serve; the message says why, `fix` what to do."""

    def __init__(self, detail: str, fix: str) -> None:
        super().__init__(detail)
        self.detail, self.fix = detail, fix


def require_fitted_pipeline(candidate: Any) -> None:
    """Raise Unusable unless `candidate` is a fitted `sklearn.pipeline.Pipeline` that can predict."""
    from sklearn.exceptions import NotFittedError
    from sklearn.pipeline import Pipeline
    from sklearn.utils.validation import check_is_fitted

    if not isinstance(candidate, Pipeline):
        kind = type(candidate)
        raise Unusable(
            f"The file holds a {kind.__module__}.{kind.__qualname__}, not a sklearn.pipeline.Pipeline.",
            _how_to_make_it_one(candidate),
        )
    if not candidate.steps or not hasattr(candidate.steps[-1][1], "predict"):
        raise Unusable(
            "The pipeline's last step cannot predict.", "Let the pipeline end with the estimator (a classifier …)."
        )
    # Only the last step is checked: scikit-learn takes a custom transformer without fitted attributes for unfitted, and
    # one that really is unfitted fails as soon as the sample is predicted.
    try:
        check_is_fitted(candidate.steps[-1][1])
    except NotFittedError as error:
        raise Unusable(f"The pipeline is not fitted: {error}", "Call pipeline.fit(X, y) before saving it.") from error


def _how_to_make_it_one(candidate: Any) -> str:
    from sklearn.pipeline import Pipeline

    if isinstance(candidate, dict | list | tuple):
        return "Save the fitted Pipeline itself, with nothing around it."
    if isinstance(getattr(candidate, "best_estimator_", None), Pipeline):
        return "Save what the search found, which is a Pipeline: its best_estimator_."
    return (
        "Put all preprocessing and the estimator into one Pipeline, so that it takes raw data: "
        "Pipeline([('prepare', …), ('model', estimator)]).fit(X, y)."
    )


def available_outputs(pipeline: Any) -> list[str]:
    """The methods of `RESULT_NAMES` that this pipeline has."""
    return [method for method in RESULT_NAMES if hasattr(pipeline, method)]


def class_labels(pipeline: Any) -> Any:
    """`classes_` as plain lists (one list per output), or None for a regressor."""
    classes = getattr(pipeline, "classes_", None)
    if classes is None:
        return None
    if isinstance(classes, list):
        return [each.tolist() for each in classes]
    return classes.tolist()


def run(pipeline: Any, schema: RecordSchema, rows: Sequence[Row], outputs: Sequence[str]) -> dict[str, list[Any]]:
    """One call per output over all rows: {result name: one JSON value per row}.

    Raises what the pipeline raises, and NotJsonable for an answer that JSON cannot carry or that has not one entry
    per row. The cost is per call rather than per row.
    """
    data = to_input(schema, rows)
    # A step may write into what it is given, and the next call must not see that.
    given = [data.copy() for _ in outputs[1:]] + [data]
    return {
        RESULT_NAMES[output]: _answers(pipeline, output, own, len(rows))
        for output, own in zip(outputs, given, strict=True)
    }


def _answers(pipeline: Any, output: str, data: Any, expected: int) -> list[Any]:
    raw = getattr(pipeline, output)(data)
    answers = probabilities_to_json(raw, pipeline.classes_) if output == "predict_proba" else predictions_to_json(raw)
    if len(answers) != expected:
        raise NotJsonable(f"{output} gave {len(answers)} answers for {expected} rows")
    return answers


def use_one_thread(pipeline: Any) -> None:
    """Set every `n_jobs` inside the pipeline to 1: on small batches, threads and processes cost more than they save.

    Fitted parts are found through attributes: ColumnTransformers and ensembles fit copies of their parameters.
    """
    for estimator in _estimators_in(pipeline):
        if estimator.get_params(deep=False).get("n_jobs") not in (None, 1):
            estimator.set_params(n_jobs=1)


def _estimators_in(pipeline: Any) -> Iterator[Any]:
    pending, seen = [pipeline], set()
    while pending:
        value = pending.pop()
        if isinstance(value, Mapping):
            pending.extend(value.values())
        elif isinstance(value, list | tuple):
            pending.extend(value)
        elif hasattr(value, "get_params") and not isinstance(value, type) and id(value) not in seen:
            seen.add(id(value))
            yield value
            pending.extend(getattr(value, "__dict__", {}).values())


def leaves(estimator: Any, columns: Sequence[str], *, is_raw: bool = True) -> Iterator[tuple[Any, list[str], bool]]:
    """Each fitted transformer or estimator with the columns that reach it, and whether their values are still raw.

    Goes through nested Pipelines and ColumnTransformers as far as names can be followed. A step after the first one
    of a pipeline is given the same columns as long as the steps before it do not mix them (imputers, scalers); only
    imputers leave the values themselves as they were.
    """
    steps = getattr(estimator, "steps", None)
    routes = getattr(estimator, "transformers_", None)
    if steps is not None:
        for step in (step for _, step in steps if not _is_passthrough(step)):
            yield from leaves(step, columns, is_raw=is_raw)
            if not _keeps_columns(step):
                return
            is_raw = is_raw and _keeps_values(step)
    elif routes is not None:
        for _, step, chosen in routes:
            if not _is_passthrough(step):
                yield from leaves(step, _names(chosen, columns), is_raw=is_raw)
    else:
        yield estimator, list(columns), is_raw


def _names(chosen: Any, columns: Sequence[str]) -> list[str]:
    """The columns that a route of a ColumnTransformer chose: by name, position, mask or slice of either."""
    if isinstance(chosen, str):
        return [chosen]
    if isinstance(chosen, slice):
        start, stop = chosen.start, chosen.stop
        start = columns.index(start) if isinstance(start, str) else start
        stop = columns.index(stop) + 1 if isinstance(stop, str) else stop  # a slice of names includes its end
        return list(columns[start : stop : chosen.step])
    picked = [chosen] if isinstance(chosen, int) else list(chosen)
    if picked and isinstance(picked[0], bool | np.bool_):
        return [name for name, keep in zip(columns, picked, strict=True) if keep]
    return [name if isinstance(name, str) else columns[int(name)] for name in picked]


def _keeps_columns(step: Any) -> bool:
    """Whether a fitted step makes each output column from the input column at the same position alone."""
    try:
        given = getattr(step, "feature_names_in_", None)
        names = list(step.get_feature_names_out())
    except (AttributeError, ValueError, TypeError):
        return False
    return names == ([f"x{index}" for index in range(len(names))] if given is None else list(given))


def _keeps_values(step: Any) -> bool:
    """Whether a step changes no value that is present: imputers do not, any other step may."""
    steps = getattr(step, "steps", None)
    if steps is not None:
        return all(_is_passthrough(inner) or _keeps_values(inner) for _, inner in steps)
    return type(step).__module__.startswith("sklearn.impute.")


def _is_passthrough(step: Any) -> bool:
    return step is None or isinstance(step, str)
