"""The schema of a result fits what real pipelines answer, and nothing else."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from jsonschema_rs import Draft202012Validator
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import Pipeline
from sklearn.svm import LinearSVC

from registry.pipelines.calls import available_outputs, class_labels, run_rows
from registry.pipelines.result_schema import result_schema
from registry.schema.record import RecordSchema

FRAME = pd.DataFrame({"a": [1.0, 2, 3, 4, 5, 6], "b": [0.0, 1, 0, 1, 0, 1]})
SCHEMA = RecordSchema.from_json_schema(
    {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number"}}, "required": ["a", "b"]}
)
TWO = np.array([["x", "p"], ["y", "q"], ["x", "p"], ["y", "q"], ["x", "q"], ["y", "p"]])
PIPELINES = {
    "texts": (LogisticRegression(), ["no", "yes"] * 3),
    "whole numbers": (LogisticRegression(), [0, 1, 2] * 2),
    "floats": (LogisticRegression(), [0.0, 1.0] * 3),
    "booleans": (LogisticRegression(), [True, False] * 3),
    "regressor": (LinearRegression(), [1.5, 2, 3, 4, 5, 6]),
    "several numbers": (LinearRegression(), FRAME.to_numpy() * 2),
    "several texts": (MultiOutputClassifier(LogisticRegression()), TWO),
    "several labels": (OneVsRestClassifier(LogisticRegression()), np.array([[0, 1], [1, 0], [1, 1]] * 2)),
    "decisions": (LinearSVC(), ["a", "b", "c"] * 2),
}  # fmt: skip


@pytest.mark.parametrize("name", PIPELINES)
def test_it_fits_what_the_pipeline_answers(name: str) -> None:
    estimator, target = PIPELINES[name]
    pipeline = Pipeline([("model", estimator)]).fit(FRAME, target)
    outputs = available_outputs(pipeline)
    rows: Any = FRAME.to_dict(orient="records")
    answers: dict[str, Any] = run_rows(pipeline, SCHEMA, rows, outputs)

    schema = result_schema(outputs, class_labels(pipeline), answers)

    Draft202012Validator(schema).validate({"probabilities": None, **answers})
    only = {"predictions": answers["predictions"], "probabilities": None}
    Draft202012Validator(schema).validate(only)
    assert not Draft202012Validator(schema).is_valid({**only, "predictions": [{"an": "object"}]})


def test_it_lists_all_labels_of_a_classifier() -> None:
    answers = {"predictions": ["no"], "probabilities": [{"no": 0.9, "yes": 0.1}]}

    schema = result_schema(["predict", "predict_proba"], ["no", "yes"], answers)

    assert schema["properties"]["predictions"] == {
        "type": "array",
        "items": {"type": "string", "enum": ["no", "yes"]},
    }
    assert schema["properties"]["probabilities"]["anyOf"][0]["items"]["required"] == ["no", "yes"]
    assert schema["required"] == ["predictions", "probabilities"]


def test_it_says_a_number_where_the_sample_had_whole_ones() -> None:
    schema = result_schema(["predict"], None, {"predictions": [1, 2]})

    assert schema["properties"]["predictions"]["items"] == {"type": "number"}
    assert schema["properties"]["probabilities"] == {"type": "null"}


@pytest.mark.parametrize("answers", [{}, {"predictions": []}, {"predictions": None}], ids=str)
def test_it_allows_anything_where_nothing_was_answered(answers: dict[str, Any]) -> None:
    assert result_schema(["predict"], None, answers)["properties"]["predictions"]["items"] == {}


def test_it_does_not_list_very_many_labels() -> None:
    labels = [f"class {number}" for number in range(1_000)]
    answers = {"predictions": labels[:1], "probabilities": [dict.fromkeys(labels, 0.001)]}

    schema = result_schema(["predict", "predict_proba"], labels, answers)

    assert schema["properties"]["predictions"]["items"] == {"type": "string"}
    assert len(str(schema)) < 1_000
