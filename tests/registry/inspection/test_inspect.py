"""The inspection: what it finds in an artifact and what it refuses."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multioutput import ClassifierChain
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from mlserve.errors import BadUpload
from registry.inspection.inspect import Inspected, inspect
from registry.inspection.report import CHECKS, Check
from registry.inspection.version_request import SchemaSource, VersionRequest, schema_source
from tests import pipelines
from tests.pipelines import EXAMPLE

Save = Callable[..., Path]


def check_of(inspected: Inspected, name: str) -> Check:
    return next(check for check in inspected.report.checks if check.name == name)


def statuses(inspected: Inspected) -> dict[str, str]:
    return {check.name: check.status for check in inspected.report.checks}


def failure_of(artifact: Path, request: VersionRequest) -> Check:
    """The one failed check; what comes after it was not reached."""
    inspected = inspect(artifact, request)
    (failed,) = inspected.report.failed
    assert inspected.version_fields == {}
    assert list(statuses(inspected)) == list(CHECKS)
    assert failed.fix
    return failed


def two_columns() -> Pipeline:
    frame = pd.DataFrame({"a": [1.0, 2, 3, 4], "b": [0.0, 1, 0, 1]})
    return make_pipeline(StandardScaler(), LinearRegression()).fit(frame, [1.0, 2, 3, 4])


def written(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


# --- What it finds -----------------------------------------------------------------------------------------------


def test_it_accepts_the_example(penguins_artifact: Path, penguins_request: VersionRequest) -> None:
    inspected = inspect(penguins_artifact, penguins_request)

    assert inspected.report.is_accepted
    assert statuses(inspected) == dict.fromkeys(CHECKS, "passed")


def test_it_finds_what_a_version_is_made_of(penguins_artifact: Path, penguins_request: VersionRequest) -> None:
    found = inspect(penguins_artifact, penguins_request).version_fields

    assert found["artifact_format"] == "pickle"
    assert found["outputs"] == ["predict", "predict_proba", "decision_function"]
    assert found["class_labels"] == ["Adelie", "Chinstrap", "Gentoo"]
    assert [column["name"] for column in found["columns"]][:2] == ["island", "bill_length_mm"]
    assert found["container"] == "frame"
    assert found["is_batchable"] is True
    assert len(found["sample_rows"]) == len(found["golden_outputs"]["predictions"]) == 13
    assert found["environment"]["trained_with"] == {"scikit-learn": sklearn.__version__}
    assert found["environment"]["inspected_with"]["pandas"] == pd.__version__
    assert found["report"]["accepted"] is True


def test_it_needs_nothing_but_the_artifact(save: Save) -> None:
    inspected = inspect(save(pipelines.mixed_classifier()), VersionRequest())

    assert inspected.report.is_accepted
    assert [check.name for check in inspected.report.warnings] == ["accepts", "answers"]
    assert check_of(inspected, "accepts").fix.startswith("Give `sample`")


@pytest.mark.parametrize(
    "make",
    [pipelines.array_regressor, pipelines.several_outputs, pipelines.mixed_classifier],
    ids=lambda make: make.__name__,
)
def test_it_accepts_every_kind_of_pipeline(save: Save, make: Callable[[], Pipeline]) -> None:
    assert inspect(save(make()), VersionRequest()).report.is_accepted


def test_it_accepts_a_transformer_that_learns_nothing(save: Save, tmp_path: Path) -> None:
    pipeline = make_pipeline(pipelines.Stateless(), StandardScaler(), LinearRegression()).fit([[1.0], [2]], [1, 2])
    sample = written(tmp_path / "sample.json", [{"a": 1}, {"a": 2}])

    assert inspect(save(pipeline), VersionRequest(sample=sample)).report.is_accepted


def test_it_accepts_a_classifier_chain(save: Save) -> None:
    chain = ClassifierChain(LogisticRegression())
    pipeline = make_pipeline(chain).fit([[0.0], [1], [2], [3]], [[0, 1], [0, 0], [1, 1], [1, 0]])

    inspected = inspect(save(pipeline), VersionRequest())

    assert inspected.report.is_accepted
    assert [len(row) for row in inspected.version_fields["golden_outputs"]["probabilities"]] == [2]


def test_it_accepts_a_pipeline_that_knows_missing_as_none(save: Save, tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": pd.Series(["x", "y", None, "x"], dtype=object)})
    imputer = SimpleImputer(missing_values=None, strategy="most_frequent")
    pipeline = make_pipeline(imputer, OneHotEncoder(), LogisticRegression()).fit(frame, [0, 1, 0, 1])
    sample = written(tmp_path / "sample.json", [{"a": "x"}, {"a": None}])

    assert inspect(save(pipeline), VersionRequest(sample=sample)).report.is_accepted


def test_it_refuses_another_scikit_learn_and_looks_at_the_rest(save: Save) -> None:
    path = pipelines.with_other_sklearn(save(two_columns()))

    inspected = inspect(path, VersionRequest())

    check = check_of(inspected, "environment")
    assert [each.name for each in inspected.report.failed] == ["environment"]
    assert pipelines.OTHER_SKLEARN in check.detail
    assert sklearn.__version__ in check.detail
    assert "LinearRegression" in check.detail
    assert "`allow_other_versions`" in check.fix
    assert check_of(inspected, "predicts").status == "passed"
    assert inspected.version_fields == {}


def test_it_warns_of_another_scikit_learn_that_was_allowed(save: Save) -> None:
    path = pipelines.with_other_sklearn(save(two_columns()))

    inspected = inspect(path, VersionRequest(allow_other_versions=True))

    assert inspected.report.is_accepted
    assert inspected.report.is_trained_elsewhere
    assert inspected.version_fields["environment"]["trained_with"] == {"scikit-learn": pipelines.OTHER_SKLEARN}


def test_it_marks_a_version_whose_rows_depend_on_each_other(save: Save, tmp_path: Path) -> None:
    sample = written(tmp_path / "sample.json", [{"a": 1, "b": 0}, {"a": 9, "b": 1}])

    inspected = inspect(save(pipelines.not_batchable()), VersionRequest(sample=sample))

    assert inspected.report.is_accepted
    assert check_of(inspected, "batching").status == "warning"
    assert inspected.version_fields["is_batchable"] is False


def test_it_leaves_the_target_out_of_the_sample(save: Save, tmp_path: Path) -> None:
    sample = written(tmp_path / "sample.csv", "a,b,target\n1,0,7\n2,1,8\n")

    inspected = inspect(save(two_columns()), VersionRequest(sample=sample))

    assert inspected.version_fields["sample_rows"] == [{"a": 1, "b": 0}, {"a": 2, "b": 1}]
    assert "target is not an input" in check_of(inspected, "accepts").detail


def test_it_keeps_a_hundred_rows_of_a_large_sample(save: Save, tmp_path: Path) -> None:
    sample = written(tmp_path / "sample.json", [{"a": index, "b": 0} for index in range(250)])

    found = inspect(save(two_columns()), VersionRequest(sample=sample)).version_fields

    assert len(found["sample_rows"]) == len(found["golden_outputs"]["predictions"]) == 100


# --- What it refuses ---------------------------------------------------------------------------------------------


def test_it_fails_a_file_that_does_not_load(tmp_path: Path) -> None:
    failed = failure_of(written(tmp_path / "model.joblib", "import sklearn"), VersionRequest())

    assert failed.name == "loads"
    assert "not a skops, joblib or pickle file" in failed.detail


def test_it_fails_what_is_no_pipeline(save: Save) -> None:
    failed = failure_of(save(LinearRegression().fit([[1], [2]], [1, 2])), VersionRequest())

    assert failed.name == "pipeline"
    assert "LinearRegression" in failed.detail


def test_it_fails_a_schema_that_contradicts_the_pipeline(save: Save, tmp_path: Path) -> None:
    schema = written(tmp_path / "schema.json", {"type": "object", "properties": {"c": {"type": "number"}}})

    failed = failure_of(save(two_columns()), VersionRequest(schema=SchemaSource(schema, "json_schema")))

    assert failed.name == "schema"
    assert "has c, which the pipeline was not trained on" in failed.detail


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("import sys; sys.exit()", "SystemExit"),
        ("class RawData: pass", "no pydantic class"),
        ("import pydantic\nclass RawData(pydantic.BaseModel):\n  a: list[int]", "'a' is a list, but"),
    ],
    ids=["raises", "exits", "no class", "list"],
)
def test_it_fails_a_python_schema(save: Save, tmp_path: Path, source: str, sentence: str) -> None:
    schema = written(tmp_path / "validation.py", source)

    failed = failure_of(save(two_columns()), VersionRequest(schema=SchemaSource(schema, "pydantic")))

    assert failed.name == "schema"
    assert sentence in failed.detail


def test_it_fails_a_category_without_values(save: Save, tmp_path: Path) -> None:
    node = {"type": "string", "x-dtype": "category"}
    schema = written(tmp_path / "schema.json", {"type": "object", "properties": {"a": node, "b": {"type": "number"}}})

    failed = failure_of(save(two_columns()), VersionRequest(schema=SchemaSource(schema, "json_schema")))

    assert failed.name == "schema"
    assert "has the dtype category, but no values" in failed.detail


def test_it_fails_a_sample_that_is_not_there(save: Save, tmp_path: Path) -> None:
    failed = failure_of(save(two_columns()), VersionRequest(sample=tmp_path / "absent.csv"))

    assert failed.name == "accepts"
    assert "absent.csv cannot be read" in failed.detail


def test_it_fails_a_sample_that_the_schema_refuses(save: Save, tmp_path: Path) -> None:
    sample = written(tmp_path / "sample.csv", "a,b\n1,0\nx,1\n,\n")
    schema = written(
        tmp_path / "schema.json",
        {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number"}}, "required": ["a", "b"]},
    )

    failed = failure_of(save(two_columns()), VersionRequest(schema=SchemaSource(schema, "json_schema"), sample=sample))

    assert failed.name == "accepts"
    assert "#/1/a must be a number; #/2/a must be a number" in failed.detail


def test_it_fails_a_pattern_for_which_no_row_can_be_made_up(save: Save, tmp_path: Path) -> None:
    node = {"type": "string", "pattern": "^[A-Z]{2}$"}
    schema = written(tmp_path / "schema.json", {"type": "object", "properties": {"a": node, "b": {"type": "number"}}})

    failed = failure_of(save(two_columns()), VersionRequest(schema=SchemaSource(schema, "json_schema")))

    assert failed.name == "accepts"
    assert "must match the pattern" in failed.detail
    assert failed.fix.startswith("Give `sample`")


def test_it_fails_a_pipeline_that_does_not_predict_the_sample(save: Save, tmp_path: Path) -> None:
    sample = written(tmp_path / "sample.json", [{"a": 101, "b": 0}])

    failed = failure_of(save(pipelines.raises_above_100()), VersionRequest(sample=sample))

    assert failed.name == "predicts"
    assert failed.detail == "ValueError: a must not exceed 100"


def test_it_says_why_a_step_that_wants_a_frame_got_an_array(save: Save, tmp_path: Path) -> None:
    pipeline = pipelines.raises_above_100()
    del pipeline[0].feature_names_in_
    sample = written(tmp_path / "sample.json", [{"a": 1, "b": 0}])

    failed = failure_of(save(pipeline), VersionRequest(sample=sample))

    assert failed.name == "predicts"
    assert "n_features_in_ without feature_names_in_" in failed.fix


def test_it_fails_a_pipeline_with_a_step_that_is_not_fitted(save: Save) -> None:
    pipeline = two_columns()
    pipeline.steps[0] = ("scale", StandardScaler())

    failed = failure_of(save(pipeline), VersionRequest())

    assert failed.name in {"predicts", "schema"}


@pytest.mark.parametrize(
    ("model", "detail"),
    [
        (pipelines.AnswersWithoutNumber(), "json: Row 1: the pipeline answered nan, which JSON cannot carry."),
        (pipelines.AnswersOnce(), "predicts: predict gave 1 answers for 2 rows."),
    ],
    ids=["nan", "count"],
)
def test_it_fails_answers_that_are_none(save: Save, tmp_path: Path, model: Any, detail: str) -> None:
    sample = written(tmp_path / "sample.json", [{"a": 1}, {"a": 2}])
    pipeline = make_pipeline(model).fit(np.array([[1.0], [2.0]]), [1, 2])

    failed = failure_of(save(pipeline), VersionRequest(sample=sample))

    assert f"{failed.name}: {failed.detail}" == detail


def test_it_fails_a_pipeline_that_answers_a_single_row_by_chance(save: Save, tmp_path: Path) -> None:
    sample = written(tmp_path / "sample.json", [{"a": 1}])
    pipeline = make_pipeline(pipelines.AnswersOnce()).fit(np.array([[1.0], [2.0]]), [1, 2])

    failed = failure_of(save(pipeline), VersionRequest(sample=sample))

    assert failed.detail == "predict gave 1 answers for 2 rows."


def test_it_fails_a_pipeline_that_cannot_predict_a_row_alone(save: Save, tmp_path: Path) -> None:
    sample = written(tmp_path / "sample.json", [{"a": 1, "b": 0}, {"a": 2, "b": 1}])

    failed = failure_of(save(pipelines.needs_several_rows()), VersionRequest(sample=sample))

    assert failed.name == "batching"
    assert failed.detail == "Row 1 cannot be predicted alone: ValueError: one row is not enough"


def test_it_fails_a_form_with_unknown_fields(save: Save) -> None:
    form = {"sections": [{"fields": [{"name": "c"}]}]}

    failed = failure_of(save(two_columns()), VersionRequest(form_config=form))

    assert failed.name == "form"
    assert "names c, which the schema lacks" in failed.detail


# --- Which file is the schema ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "class_name"), [(":Penguin", "Penguin"), (":RawData", "RawData"), ("", "RawData"), (":", "RawData")]
)
def test_it_reads_which_class_is_meant(suffix: str, class_name: str) -> None:
    path = EXAMPLE / "validation.py"

    assert schema_source(f"{path}{suffix}") == SchemaSource(path, "pydantic", class_name)


def test_it_reads_a_json_schema(tmp_path: Path) -> None:
    path = written(tmp_path / "schema.json", {})

    assert schema_source(str(path)) == SchemaSource(path, "json_schema")


def test_it_reads_a_path_with_a_colon(tmp_path: Path) -> None:
    path = written(tmp_path / "a:b.json", {})

    assert schema_source(str(path)) == SchemaSource(path, "json_schema")


def test_it_reads_a_class_behind_a_path_with_a_colon(tmp_path: Path) -> None:
    path = written(tmp_path / "a:b.py", "")

    assert schema_source(f"{path}:Row") == SchemaSource(path, "pydantic", "Row")


@pytest.mark.parametrize("text", ["absent.py:RawData", "absent.json", "", ":RawData"])
def test_it_refuses_a_schema_that_is_not_there(text: str) -> None:
    with pytest.raises(BadUpload, match="does not exist"):
        schema_source(text)


def test_it_refuses_a_class_of_a_json_file(tmp_path: Path) -> None:
    path = written(tmp_path / "schema.json", {})

    with pytest.raises(BadUpload, match="only a Python file has a class"):
        schema_source(f"{path}:RawData")


def test_it_accuses_no_schema_of_forgery_for_its_defaults(save: Save, tmp_path: Path) -> None:
    """NaN as a default, which pydantic writes into its schema."""
    code = (
        'from pydantic import BaseModel\nclass RawData(BaseModel):\n    a: float = float("nan")\n    b: float = 1.0\n'
    )
    schema = SchemaSource(written(tmp_path / "validation.py", code), "pydantic")
    sample = written(tmp_path / "sample.json", [{"a": 1.0, "b": 0.0}])

    inspected = inspect(save(two_columns()), VersionRequest(schema=schema, sample=sample))

    assert "no inspection writes" not in str(inspected.report.failed)
    assert all(each.name in {"schema", "json"} for each in inspected.report.failed)
