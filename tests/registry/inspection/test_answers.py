"""The check `answers` of real artifacts, in the sandbox."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder

from registry.inspection.inspect import Inspected, inspect
from registry.inspection.report import Check
from registry.inspection.version_request import SchemaSource, VersionRequest
from tests import pipelines

Save = Callable[..., Path]


def answers_of(inspected: Inspected) -> Check:
    return next(check for check in inspected.report.checks if check.name == "answers")


def two_columns() -> tuple[Pipeline, pd.DataFrame]:
    frame = pd.DataFrame({"a": [1.0, 2, 3, 4], "b": [0.0, 1, 0, 1]})
    return make_pipeline(LinearRegression()).fit(frame, [1.5, 2, 3, 4]), frame


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    two_columns()[1].to_csv(tmp_path / "sample.csv", index=False)
    return tmp_path / "sample.csv"


def test_it_passes_where_the_answers_are_the_trainers(save: Save, tmp_path: Path, sample: Path) -> None:
    pipeline, frame = two_columns()
    pd.Series(pipeline.predict(frame)).to_csv(tmp_path / "expected.csv")

    inspected = inspect(save(pipeline), VersionRequest(sample=sample, expected=tmp_path / "expected.csv"))

    assert inspected.report.is_accepted
    assert answers_of(inspected).status == "passed"
    assert "The predictions of 4 rows" in answers_of(inspected).detail


def test_it_compares_probabilities_in_json(save: Save, tmp_path: Path) -> None:
    frame, target = pipelines.mixed_frame()
    pipeline = pipelines.mixed_classifier()
    entries = [
        {"prediction": label, "probabilities": list(row)}
        for label, row in zip(pipeline.predict(frame).tolist(), pipeline.predict_proba(frame).tolist(), strict=True)
    ]
    frame.assign(target=target).to_csv(tmp_path / "sample.csv", index=False)
    (tmp_path / "expected.json").write_text(json.dumps(entries))

    request = VersionRequest(sample=tmp_path / "sample.csv", expected=tmp_path / "expected.json")
    inspected = inspect(save(pipeline), request)

    assert "The predictions and probabilities of 60 rows" in answers_of(inspected).detail


def test_it_refuses_another_answer(save: Save, tmp_path: Path, sample: Path) -> None:
    pipeline, frame = two_columns()
    expected = pipeline.predict(frame)
    expected[2] += 1
    pd.Series(expected).to_csv(tmp_path / "expected.csv", index=False)

    inspected = inspect(save(pipeline), VersionRequest(sample=sample, expected=tmp_path / "expected.csv"))

    assert [check.name for check in inspected.report.failed] == ["answers"]
    assert answers_of(inspected).detail.startswith("1 of 4 rows")
    assert f"row 3: the trainer saw {expected[2]}" in answers_of(inspected).detail
    assert inspected.version_fields == {}


def test_it_finds_a_guess_that_was_wrong(save: Save, tmp_path: Path) -> None:
    """Codes that were texts when the pipeline was fitted, and look like numbers in the sample."""
    frame = pd.DataFrame({"code": ["1", "2", "1", "2"] * 5})
    pipeline = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()).fit(frame, [0, 1, 0, 1] * 5)
    node = {"type": "object", "properties": {"code": {"type": "integer"}}, "required": ["code"]}
    (tmp_path / "schema.json").write_text(json.dumps(node))
    frame.to_csv(tmp_path / "sample.csv", index=False)
    pd.Series(pipeline.predict(frame)).to_csv(tmp_path / "expected.csv", index=False)

    inspected = inspect(
        save(pipeline),
        VersionRequest(
            schema=SchemaSource(tmp_path / "schema.json", "json_schema"),
            sample=tmp_path / "sample.csv",
            expected=tmp_path / "expected.csv",
        ),
    )

    assert not inspected.report.is_accepted


def test_it_compares_every_row_of_a_large_sample(save: Save, tmp_path: Path) -> None:
    pipeline, _ = two_columns()
    frame = pd.DataFrame({"a": np.arange(250.0), "b": 0.0})
    expected = pipeline.predict(frame)
    expected[200] += 1
    frame.to_csv(tmp_path / "sample.csv", index=False)
    pd.Series(expected).to_csv(tmp_path / "expected.csv", index=False)

    request = VersionRequest(sample=tmp_path / "sample.csv", expected=tmp_path / "expected.csv")

    assert "1 of 250 rows" in answers_of(inspect(save(pipeline), request)).detail


def test_it_takes_the_answers_from_a_column_of_the_sample(save: Save, tmp_path: Path) -> None:
    """Also where the pipeline was fitted on an array, whose columns are those of the sample."""
    pipeline = pipelines.array_regressor()
    frame = pd.DataFrame(np.eye(3), columns=["x", "y", "z"])
    frame.insert(1, "answer", pipeline.predict(frame.to_numpy()))
    frame.to_csv(tmp_path / "sample.csv", index=False)

    inspected = inspect(save(pipeline), VersionRequest(sample=tmp_path / "sample.csv", expected_column="answer"))

    assert answers_of(inspected).status == "passed"
    assert [column["name"] for column in inspected.version_fields["columns"]] == ["x", "y", "z"]
    assert inspected.version_fields["sample_rows"][0].keys() == {"x", "y", "z"}


@pytest.mark.parametrize(("column", "words"), [("answer", "no column 'answer'"), ("a", "is an input of the pipeline")])
def test_it_refuses_a_column_that_cannot_hold_answers(save: Save, sample: Path, column: str, words: str) -> None:
    inspected = inspect(save(two_columns()[0]), VersionRequest(sample=sample, expected_column=column))

    assert words in answers_of(inspected).detail


def test_it_refuses_another_count(save: Save, tmp_path: Path, sample: Path) -> None:
    (tmp_path / "expected.json").write_text("[1, 2]")

    inspected = inspect(save(two_columns()[0]), VersionRequest(sample=sample, expected=tmp_path / "expected.json"))

    assert "2 expected answers were given for 4 sample rows" in answers_of(inspected).detail


def test_it_refuses_answers_to_nothing(save: Save, tmp_path: Path) -> None:
    (tmp_path / "expected.json").write_text("[1]")

    inspected = inspect(save(two_columns()[0]), VersionRequest(expected=tmp_path / "expected.json"))

    assert "without `sample`" in answers_of(inspected).detail


def test_it_warns_without_answers(save: Save, sample: Path) -> None:
    inspected = inspect(save(two_columns()[0]), VersionRequest(sample=sample))

    assert answers_of(inspected).status == "warning"
    assert "give that file as `expected`" in answers_of(inspected).fix


@pytest.mark.parametrize("name", ["sample.csv", "sample.json"])
def test_it_refuses_a_sample_that_its_frame_rounds(save: Save, tmp_path: Path, name: str) -> None:
    rows = [{"a": 1, "b": 0}, {"a": 9007199254740993, "b": 1}]
    sample = tmp_path / name
    sample.write_text(json.dumps(rows) if name.endswith("json") else "a,b\n1,0\n9007199254740993,1\n")
    node = {"type": "number"}
    schema: dict[str, Any] = {"type": "object", "properties": {"a": node, "b": node}, "required": ["a", "b"]}
    (tmp_path / "schema.json").write_text(json.dumps(schema))

    request = VersionRequest(schema=SchemaSource(tmp_path / "schema.json", "json_schema"), sample=sample)
    inspected = inspect(save(two_columns()[0]), request)

    assert "Row 2, column a: the sample has 9007199254740993" in answers_of(inspected).detail
    assert "9007199254740992.0" in answers_of(inspected).detail


def test_it_refuses_a_pipeline_that_answers_its_trainer_in_a_batch_only(
    save: Save, tmp_path: Path, sample: Path
) -> None:
    pipeline, (_, frame) = pipelines.not_batchable(), two_columns()
    pd.Series(pipeline.predict(frame)).to_csv(tmp_path / "expected.csv", index=False)

    inspected = inspect(save(pipeline), VersionRequest(sample=sample, expected=tmp_path / "expected.csv"))

    assert [check.name for check in inspected.report.failed] == ["batching"]
    assert "where it is the trainer's" in inspected.report.failed[0].detail
