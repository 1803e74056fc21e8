"""What mlserve requires of a fitted scikit-learn pipeline, and how it calls one. Pure; needs scikit-learn."""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

from registry.pipelines.errors import Unusable, WrongAnswerCount
from registry.pipelines.frames import predictions_to_json, probabilities_to_json, to_input
from registry.pipelines.outputs import RESULT_NAMES
from registry.schema.columns import Columns, to_columns
from registry.schema.record import RecordSchema, Row


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
    if isinstance(candidate, dict | list | tuple):
        return "Save the fitted Pipeline itself, with nothing around it."
    if hasattr(candidate, "predict"):
        return (
            "If it takes raw data as it is, save Pipeline([('model', it)]) instead. Otherwise put all preprocessing "
            "and the estimator into one Pipeline: Pipeline([('prepare', …), ('model', estimator)]).fit(X, y)."
        )
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


def run_rows(pipeline: Any, schema: RecordSchema, rows: Sequence[Row], outputs: Sequence[str]) -> dict[str, list[Any]]:
    """`run` for valid rows that are in this process."""
    return run(pipeline, schema, to_columns(schema, rows), len(rows), outputs)


def run(
    pipeline: Any, schema: RecordSchema, columns: Columns, n_rows: int, outputs: Sequence[str]
) -> dict[str, list[Any]]:
    """One call per output over all rows: {result name: one JSON value per row}. `columns` are used up.

    Raises what the pipeline raises, NotJsonable for an answer that JSON cannot carry, and WrongAnswerCount. The cost is
    per call rather than per row.
    """
    data = to_input(schema, columns, n_rows)
    # A step may write into what it is given, and the next call must not see that.
    given = [deepcopy(data) for _ in outputs[1:]] + [data]
    return {
        RESULT_NAMES[output]: _answers(pipeline, output, own, n_rows)
        for output, own in zip(outputs, given, strict=True)
    }


def _answers(pipeline: Any, output: str, data: Any, expected: int) -> list[Any]:
    raw = getattr(pipeline, output)(data)
    answers = probabilities_to_json(raw, pipeline.classes_) if output == "predict_proba" else predictions_to_json(raw)
    if len(answers) != expected:
        raise WrongAnswerCount(output, answers=len(answers), rows=expected)
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
