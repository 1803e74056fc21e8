"""What mlserve asks of a fitted scikit-learn pipeline, and how it calls one. Pure; needs scikit-learn."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from registry.frames import NotJsonable, predictions_to_json, probabilities_to_json, to_input
from registry.schema import RecordSchema, Row

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
            "Put all preprocessing and the estimator into one Pipeline, so that it takes raw data: "
            "Pipeline([('prepare', …), ('model', estimator)]).fit(X, y).",
        )
    if not candidate.steps or not hasattr(candidate.steps[-1][1], "predict"):
        raise Unusable(
            "The pipeline's last step cannot predict.", "Let the pipeline end with the estimator (a classifier …)."
        )
    try:
        for _, step in candidate.steps:
            if hasattr(step, "fit") and not _is_passthrough(step):
                check_is_fitted(step)
    except NotFittedError as error:
        raise Unusable(f"The pipeline is not fitted: {error}", "Call pipeline.fit(X, y) before saving it.") from error


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

    Raises whatever the pipeline raises, and NotJsonable for an answer that JSON cannot carry or that has not one
    entry per row. The cost is per call rather than per row.
    """
    data = to_input(schema, rows)
    return {RESULT_NAMES[output]: _answers(pipeline, output, data, len(rows)) for output in outputs}


def _answers(pipeline: Any, output: str, data: Any, expected: int) -> list[Any]:
    raw = getattr(pipeline, output)(data)
    if output == "predict_proba":
        answers = probabilities_to_json(raw, pipeline.classes_)
    else:
        answers = predictions_to_json(raw)
    if len(answers) != expected:
        raise NotJsonable(f"{output} gave {len(answers)} answers for {expected} rows")
    return answers


def use_one_thread(pipeline: Any) -> None:
    """Set every `n_jobs` inside the pipeline to 1: on small batches starting helpers costs more than they save."""
    parameters = pipeline.get_params(deep=True)
    jobs = {name: 1 for name, value in parameters.items() if _is_n_jobs(name) and value not in (None, 1)}
    if jobs:
        pipeline.set_params(**jobs)


def leaves(estimator: Any, columns: Sequence[str]) -> Iterator[tuple[Any, list[str]]]:
    """Each fitted transformer or estimator with the raw columns that reach it, as far as names can be followed.

    Goes through nested Pipelines and ColumnTransformers. A step after the first one of a pipeline is given the
    same columns as long as the steps before it keep their number (imputers, scalers).
    """
    steps = getattr(estimator, "steps", None)
    routes = getattr(estimator, "transformers_", None)
    if steps is not None:
        reaching: Sequence[str] | None = columns
        for _, step in steps:
            if reaching is None or _is_passthrough(step):
                continue
            yield from leaves(step, reaching)
            if getattr(step, "transformers_", None) is not None or not _keeps_columns(step, len(reaching)):
                reaching = None
    elif routes is not None:
        for _, step, chosen in routes:
            if not _is_passthrough(step):
                yield from leaves(step, _names(chosen, columns))
    else:
        yield estimator, list(columns)


def _names(chosen: Any, columns: Sequence[str]) -> list[str]:
    if isinstance(chosen, str):
        return [chosen]
    if isinstance(chosen, slice):
        return list(columns[chosen]) if not isinstance(chosen.start, str) else list(columns)
    picked = list(chosen)
    if picked and isinstance(picked[0], bool):
        return [name for name, keep in zip(columns, picked, strict=True) if keep]
    return [name if isinstance(name, str) else columns[int(name)] for name in picked]


def _keeps_columns(step: Any, count: int) -> bool:
    try:
        return len(step.get_feature_names_out()) == count
    except (AttributeError, ValueError, TypeError):
        return False


def _is_passthrough(step: Any) -> bool:
    return step is None or isinstance(step, str)


def _is_n_jobs(name: str) -> bool:
    return name == "n_jobs" or name.endswith("__n_jobs")
