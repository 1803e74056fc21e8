"""The checks of the answers: that there are some, that they are the trainer's, and in which cases there are none."""

import json
import time

from mlserve.errors import BadUpload
from mlserve.units import duration_text
from registry.inspection import probing, trainer_answers
from registry.inspection.child_report import why_not_stored
from registry.inspection.inspection import Failed, Inspection
from registry.inspection.predict_steps import step_for
from registry.inspection.report import Check
from registry.pipelines import calls
from registry.pipelines.errors import NotJsonable, WrongAnswerCount
from registry.pipelines.frames import rows_to_input
from registry.pipelines.golden_comparison import same_answer
from registry.pipelines.kept_values import first_changed_value
from registry.sources import answer_files

_ROWS_ONE_BY_ONE = 25
# Of the time that an inspection may take: a slow pipeline must not fail because of what is only tried.
_PROBING_SHARE = 0.25

_COUNT_FIX = (
    "Each row needs one answer. A step that wants another input than it gets, such as texts instead of a table, often "
    "answers like this: let the pipeline begin with a ColumnTransformer that picks its columns."
)
_PREDICTS_FIX = "Check that the pipeline takes the raw columns as they are, with these dtypes, in a fresh Python."
_ARRAY_FIX = (
    "It gets an array, because it has n_features_in_ without feature_names_in_: if its first step is a class of your "
    "own that wants a frame, let it set neither."
)
_CHANGED_FIX = (
    "Give the column an x-dtype that holds the value, such as Int64, and train with it; or, if the training rounded it "
    "too, put the rounded value into the sample."
)
_BATCHING_FIX = "Look for a step that computes something over the rows it is given instead of the training data."
_STORED_FIX = (
    "Replace it in the schema, the sample or the training data. A default of NaN says that a value may be missing: "
    "let the column be nullable (float | None = None)."
)
_JSON_FIX = "Let the pipeline answer finite numbers, strings or booleans."


def check_predicts(inspection: Inspection) -> Check:
    rows, schema = inspection.version_fields["sample_rows"], inspection.require_schema()
    started = time.monotonic()
    try:
        inspection.answers = calls.run_rows(inspection.pipeline, schema, rows, inspection.version_fields["outputs"])
        if len(rows) == 1:
            # A pipeline that gives one answer to whatever it is asked gives it to a single row, too.
            calls.run_rows(inspection.pipeline, schema, [*rows, *rows], inspection.version_fields["outputs"])
    except WrongAnswerCount as error:
        raise Failed(Check("predicts", "failed", f"{error}.", _COUNT_FIX)) from error
    except NotJsonable as error:
        where = "" if error.row is None else f"Row {error.row + 1}: "
        raise Failed(Check("json", "failed", f"{where}{error}.", _JSON_FIX)) from error
    except Exception as error:  # the pipeline is the uploader's code, which may raise anything
        fix = _PREDICTS_FIX if schema.container == "frame" else f"{_PREDICTS_FIX} {_ARRAY_FIX}"
        detail = f"{type(error).__name__}: {error}"
        raise Failed(Check("predicts", "failed", detail, f"{fix}{step_for(error)}")) from error
    seconds = time.monotonic() - started
    inspection.version_fields["predict_seconds"] = round(seconds, 4)
    shown = ", ".join(json.dumps(answer, ensure_ascii=False) for answer in inspection.answers["predictions"][:5])
    counted, more = ("1 row", "") if len(rows) == 1 else (f"{len(rows)} rows", ", …" if len(rows) > 5 else "")
    return Check("predicts", "passed", f"{counted} in {duration_text(seconds)}: {shown}{more}")


def check_answers(inspection: Inspection) -> Check:
    if inspection.request["stored"] is not None:
        return Check("answers", "passed", "As registered.")
    schema, found = inspection.require_schema(), inspection.version_fields
    try:
        if changed := first_changed_value(schema, inspection.rows, rows_to_input(schema, inspection.rows)):
            raise Failed(Check("answers", "failed", changed.detail, _CHANGED_FIX))
        trainer, outputs = _trainer_and_outputs(inspection)
        if trainer is None:
            return trainer_answers.absent(guessed=inspection.guessed)
        served = calls.run_rows(inspection.pipeline, schema, inspection.rows, outputs)
        detail = trainer_answers.require_same(trainer, served, found["class_labels"])
        if trainer.probabilities is None and "predict_proba" in found["outputs"]:
            detail += " Probabilities were not given, so they were not compared."
    except Failed:
        raise
    except BadUpload as error:
        raise Failed(Check("answers", "failed", error.detail, trainer_answers.FIX)) from error
    except Exception as error:  # the pipeline is the uploader's code, which may raise anything
        detail = f"The {len(inspection.rows)} sample rows cannot be predicted: {type(error).__name__}: {error}"
        raise Failed(Check("answers", "failed", detail, _PREDICTS_FIX)) from error
    return Check("answers", "passed", detail)


def _trainer_and_outputs(inspection: Inspection) -> tuple[answer_files.TrainerAnswers | None, list[str]]:
    """The answers that were given, and the methods that they are of. Raises Failed for what cannot be compared."""
    found, schema = inspection.version_fields, inspection.require_schema()
    names = {*inspection.sample_names, *schema.names, *schema.ignored}
    try:
        trainer = answer_files.given_answers(inspection.request, found["class_labels"], names)
        if trainer is None:
            return None, []
        return trainer, trainer_answers.outputs_for(trainer, found["outputs"], row_count=inspection.sample_size)
    except BadUpload as error:
        how = f"Answers are written so: {trainer_answers.HOW}"
        raise Failed(Check("answers", "failed", error.detail, how)) from error


def check_json(inspection: Inspection) -> Check:
    if json.loads(json.dumps(inspection.answers, allow_nan=False)) != inspection.answers:
        raise Failed(Check("json", "failed", "The answers change on their way through JSON.", _JSON_FIX))
    # The parent would take them for a forgery.
    kept = {"schema": inspection.require_schema().json_schema, **inspection.version_fields}
    for name, value in kept.items():
        if problem := why_not_stored(value):
            raise Failed(Check("json", "failed", f"Its {name.replace('_', ' ')} has {problem}.", _STORED_FIX))
    inspection.version_fields["golden_outputs"] = inspection.answers
    return Check("json", "passed", "The same before and after.")


def check_batching(inspection: Inspection) -> Check:
    rows = inspection.version_fields["sample_rows"][:_ROWS_ONE_BY_ONE]
    schema = inspection.require_schema()
    differing = None
    for index, row in enumerate(rows):
        try:
            alone = calls.run_rows(inspection.pipeline, schema, [row], inspection.version_fields["outputs"])
        except Exception as error:  # the pipeline is the uploader's code, which may raise anything
            detail = f"Row {index + 1} cannot be predicted alone: {type(error).__name__}: {error}"
            raise Failed(Check("batching", "failed", detail, _BATCHING_FIX)) from error
        if not all(same_answer(alone[name][0], inspection.answers[name][index]) for name in alone):
            differing = index
            break
    inspection.version_fields["is_batchable"] = differing is None
    if differing is None:
        return Check("batching", "passed", f"{len(rows)} rows compared.")
    if inspection.request["expected"] or inspection.request["expected_column"]:
        detail = f"Row {differing + 1} gets another answer alone than among others, where it is the trainer's."
        raise Failed(Check("batching", "failed", detail, _BATCHING_FIX))
    return Check(
        "batching",
        "warning",
        f"Row {differing + 1} gets another answer alone than among others. The version is marked not batchable: "
        "its rows are predicted one at a time, which is slow.",
        _BATCHING_FIX,
    )


def check_nulls(inspection: Inspection) -> Check:
    if inspection.request["stored"] is not None:
        return Check("nulls", "passed", "As registered.")
    found, seconds = inspection.version_fields, inspection.request["cpu_seconds"] * _PROBING_SHARE
    probed = probing.probe(
        inspection.pipeline, inspection.require_schema(), found["sample_rows"], found["outputs"], seconds=seconds
    )
    inspection.schema = probed.schema
    return probed.check
