"""A batch of requests from rows to completions. Knows neither the queue nor how completions are stored."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

import orjson
from django.conf import settings

from mlserve.errors import FieldError, MlserveError, PredictionFailed, Unavailable
from mlserve.http.problems import stored_problem
from predictions.batching.halving import Answers, RowFailure, call_in_batches
from predictions.model_host.errors import WrongAnswers, described
from predictions.models import Prediction
from predictions.models.completion import Completion
from predictions.models.redaction import kept_text
from predictions.runtime import incidents, loaded_models
from predictions.runtime.loaded_models import Budget
from registry.models import ModelVersion
from registry.schema.record import Row, row_pointer

log = logging.getLogger(__name__)

_MOST_NAMED_ROWS = 100
# Characters of a model's own words.
_MOST_WORDS = 500


@dataclass(frozen=True)
class Work:
    """What one prediction asks for: validated rows, and methods as `predict,predict_proba`. `warnings` are those that
    it has already.
    """

    prediction_id: UUID
    rows: Sequence[Row]
    outputs: str
    warnings: tuple[dict[str, Any], ...] = ()

    @classmethod
    def of(cls, prediction: Prediction, rows: Sequence[Row] | None = None) -> "Work":
        """`rows` are given where they need not be read."""
        warnings = () if prediction.warnings == "[]" else tuple(orjson.loads(prediction.warnings))
        return cls(prediction.pk, prediction.rows if rows is None else rows, prediction.outputs, warnings)


@dataclass(frozen=True)
class _Span:
    """Where one prediction's rows lie among the rows of a call."""

    work: Work
    start: int

    @property
    def stop(self) -> int:
        return self.start + len(self.work.rows)


def execute(version: ModelVersion, batch: Sequence[Work]) -> list[Completion]:
    """Predict a batch with one version: a completion for each prediction, also where rows fail.

    Those that ask for the same outputs share their calls; a bad row fails its own prediction only. Raises Unavailable
    when the pipeline is unreachable at the moment, and ModelEnded, once it is reported as an incident, when it took
    longer than MLSERVE_BATCH_SECONDS or its process ended; then none of them has a completion.
    """
    budget = Budget(settings.MLSERVE_BATCH_SECONDS)
    by_outputs: dict[str, list[Work]] = {}
    for work in batch:
        by_outputs.setdefault(work.outputs, []).append(work)
    completions: list[Completion] = []
    for outputs, works in by_outputs.items():
        with incidents.reported(version):
            completions += _execute_same_outputs(version, works, outputs.split(","), budget)
    return completions


def predict_rows(
    version: ModelVersion,
    rows: Sequence[Row],
    outputs: Sequence[str],
    *,
    budget: Budget | None = None,
    when_called: Callable[[int], None] = lambda _rows: None,
) -> tuple[Answers, dict[int, RowFailure]]:
    """Answers and failures of any number of rows; `predictions` is always among the answers.

    `when_called` gets the number of rows of each call that succeeded. Raises Unavailable, and ModelEnded.
    """
    asked = ["predict", *(name for name in outputs if name != "predict")]

    def call(part: Sequence[Row]) -> Answers:
        answers = loaded_models.predict(version, part, asked, budget=budget)
        when_called(len(part))
        return answers

    batch_rows = settings.MLSERVE_CALL_ROWS if version.is_batchable else 1
    return call_in_batches(call, rows, batch_rows=batch_rows, undivided=(WrongAnswers,), passing=(Unavailable,))


def _execute_same_outputs(
    version: ModelVersion, works: Sequence[Work], outputs: Sequence[str], budget: Budget
) -> list[Completion]:
    spans, rows = _lay_out(works)
    try:
        loaded_models.load(version)
        started = time.monotonic()
        answers, failures = predict_rows(version, rows, outputs, budget=budget)
    except Unavailable as error:
        if error.may_pass:
            raise
        log.warning("%s cannot be loaded: %s", version, error.detail)
        return [_failed(version, span, error, 0.0) for span in spans]
    seconds = time.monotonic() - started
    return [_outcome(version, span, answers, failures, seconds) for span in spans]


def _lay_out(works: Sequence[Work]) -> tuple[list[_Span], list[Row]]:
    spans: list[_Span] = []
    rows: list[Row] = []
    for work in works:
        spans.append(_Span(work, len(rows)))
        rows += work.rows
    return spans, rows


def _outcome(
    version: ModelVersion, span: _Span, answers: Answers, failures: dict[int, RowFailure], seconds: float
) -> Completion:
    wrong = {
        position - span.start: failure for position, failure in failures.items() if span.start <= position < span.stop
    }
    if wrong:
        return _failed(version, span, _describe(version, span, wrong), seconds)
    result: dict[str, Any] = {name: values[span.start : span.stop] for name, values in answers.items()}
    result.setdefault("probabilities", None)
    unusual = (warning.as_json() for warning in version.record_schema.training_warnings(span.work.rows))
    warnings = (*span.work.warnings, *unusual)
    kept = kept_text(version, span.work.rows)
    return Completion(span.work.prediction_id, result=result, warnings=warnings, predict_seconds=seconds, inputs=kept)


def _failed(version: ModelVersion, span: _Span, error: MlserveError, seconds: float) -> Completion:
    work, problem = span.work, stored_problem(error)
    kept = kept_text(version, work.rows)
    return Completion(work.prediction_id, error=problem, warnings=work.warnings, predict_seconds=seconds, inputs=kept)


def _describe(version: ModelVersion, span: _Span, wrong: dict[int, RowFailure]) -> MlserveError:
    """The error of a prediction from its failed rows."""
    sentence = partial(_sentence, names_value=not version.record_schema.marks)
    named = [FieldError(row_pointer(row), sentence(wrong[row].error)) for row in sorted(wrong)[:_MOST_NAMED_ROWS]]
    row_count = len(span.work.rows)
    if row_count == 1:
        return PredictionFailed(f"The model could not predict this row: {sentence(next(iter(wrong.values())).error)}")
    return PredictionFailed(
        f"The model could not predict {len(wrong)} of {row_count} rows. Correct or leave them out and send again.",
        named,
    )


def _sentence(error: Exception, *, names_value: bool) -> str:
    """The error as text, without its message for a version with redacted columns, since libraries quote values: “could
    not convert string to float: 'Smith'”.
    """
    kind, message = described(error)
    if not names_value:
        return f"{kind} (its message may contain redacted values)"
    words = f"{kind}: {message}"
    return words if len(words) <= _MOST_WORDS else f"{words[: _MOST_WORDS - 1]}…"
