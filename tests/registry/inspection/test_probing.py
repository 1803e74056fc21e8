"""What the schema allows is tried on real pipelines."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder

from mlserve.errors import InvalidRows
from registry.inspection import probing
from registry.inspection.inspect import StoredRecord, inspect
from registry.inspection.probing import Probed, probe, probes_of
from registry.inspection.version_request import SchemaSource, VersionRequest
from registry.pipelines import calls
from registry.schema.record import RecordSchema, Row
from tests import pipelines

ROWS: list[Row] = [{"a": 1.0, "city": "Bern"}]
FRAME = pd.DataFrame({"a": [1.0, 2, 3, 4], "city": ["Bern", "Chur", "Bern", "Chur"]})


def schema_of(a: Any = None, city: Any = None, *, required: list[str] | None = None) -> RecordSchema:
    properties = {"a": a or {"type": "number"}, "city": city or {"type": "string", "enum": ["Bern", "Chur"]}}
    required = ["a", "city"] if required is None else required
    return RecordSchema.from_json_schema({"type": "object", "properties": properties, "required": required})


def fitted(encoder: Any, number: Any = "passthrough") -> Pipeline:
    columns = ColumnTransformer([("city", encoder, ["city"]), ("a", number, ["a"])])
    return make_pipeline(columns, LinearRegression()).fit(FRAME, [1.0, 2, 3, 4])


def probed(pipeline: Any, schema: RecordSchema, **options: Any) -> Probed:
    return probe(pipeline, schema, ROWS, ["predict"], **{"seconds": 60, **options})


def is_valid(schema: RecordSchema, row: Row) -> bool:
    try:
        schema.validated([row])
    except InvalidRows:
        return False
    return True


def test_it_makes_one_probe_of_each_kind() -> None:
    schema = schema_of(
        {"type": ["number", "null"], "minimum": 0, "maximum": 9, "default": 5},
        {"type": ["string", "null"], "x-training-values": ["Bern"]},
        required=["city"],
    )

    found = [(each.kind, each.column, each.value) for each in probes_of(schema, ROWS)]

    assert found == [
        ("null", "a", None), ("absent", "a", None), ("null", "city", None),
        ("unseen", "city", "never seen in training"), ("value", "a", 0), ("value", "a", 9),
    ]  # fmt: skip


def test_it_tries_only_what_the_schema_accepts() -> None:
    schema = schema_of({"type": "number", "minimum": 0.5, "multipleOf": 1}, {"type": "string", "minLength": 1})

    assert list(probes_of(schema, ROWS)) == []


def test_it_tries_the_first_and_the_last_of_many_choices() -> None:
    schema = schema_of(city={"type": "string", "enum": [f"c{number}" for number in range(1000)]})

    values = [each.value for each in probes_of(schema, ROWS)]

    assert (len(values), values[0], values[-1]) == (20, "c0", "c999")


def test_it_passes_with_one_call_where_nothing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []
    run_rows = calls.run_rows

    def counting(pipeline: Any, schema: RecordSchema, rows: list[Row], outputs: list[str]) -> Any:
        counted.append(len(rows))
        return run_rows(pipeline, schema, rows, outputs)

    monkeypatch.setattr(calls, "run_rows", counting)
    schema = schema_of({"type": ["number", "null"]})

    found = probed(fitted(OneHotEncoder(), SimpleImputer()), schema)

    assert (found.check.status, found.schema) == ("passed", schema)
    assert counted == [3]


def test_it_refuses_null_where_there_is_no_imputer() -> None:
    found = probed(fitted(OneHotEncoder()), schema_of({"type": ["number", "null"], "default": None}, required=["city"]))

    assert found.check.status == "warning"
    assert "null in a (ValueError: " in found.check.detail
    assert "refused with 422" in found.check.detail
    assert "imputer" in found.check.fix
    assert is_valid(found.schema, {"a": 1, "city": "Bern"})
    assert not is_valid(found.schema, {"a": None, "city": "Bern"})
    assert not is_valid(found.schema, {"city": "Bern"})


def test_it_refuses_null_that_gets_an_answer_without_json() -> None:
    pipeline = make_pipeline(FunctionTransformer(), _AnswersItsInput()).fit(FRAME[["a"]], [1, 2, 3, 4])
    raw = {"type": "object", "properties": {"a": {"type": ["number", "null"]}}, "required": ["a"]}

    found = probe(pipeline, RecordSchema.from_json_schema(raw), [{"a": 1.0}], ["predict"], seconds=60)

    assert "NotJsonable" in found.check.detail
    assert found.schema.properties["a"]["type"] == "number"


def test_it_turns_training_values_into_an_enum_where_others_fail() -> None:
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)

    found = probed(fitted(encoder), schema_of(city={"type": "string", "x-training-values": ["Bern", "Chur"]}))

    assert found.schema.properties["city"] == {"type": "string", "enum": ["Bern", "Chur"]}
    assert "a value unseen in training in city" in found.check.detail
    assert "accepted" not in found.check.detail


def test_it_refuses_an_empty_text_that_fails() -> None:
    pipeline = fitted(make_pipeline(FunctionTransformer(_first_letters), OneHotEncoder()))

    found = probed(pipeline, schema_of(city={"type": "string"}))

    assert "an empty text in city (IndexError" in found.check.detail
    assert found.schema.properties["city"]["minLength"] == 1


def test_it_names_choices_and_limits_that_fail() -> None:
    schema = RecordSchema.from_json_schema(
        {
            "type": "object",
            "properties": {"a": {"type": "number", "maximum": 200}, "b": {"type": "number"}},
            "required": ["a", "b"],
        }
    )

    found = probe(pipelines.raises_above_100(), schema, [{"a": 1, "b": 0}], ["predict"], seconds=60)

    assert "fails on a = 200 (ValueError: a must not exceed 100): a request with it is accepted" in found.check.detail
    assert found.schema.json_schema == schema.json_schema


def test_it_says_what_it_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "_LEAST_PROBES", 1)
    monkeypatch.setattr(probing, "_MOST_PROBES", 1)

    assert "Only the first 1 were tried." in probed(fitted(OneHotEncoder()), schema_of()).check.detail
    assert "1 could not be tried" in probed(fitted(OneHotEncoder()), schema_of(), seconds=-1).check.detail


# --- In the inspection ---------------------------------------------------------------------------------------------


def test_it_registers_the_tightened_schema(save: Callable[..., Path], tmp_path: Path) -> None:
    schema, sample = tmp_path / "schema.json", tmp_path / "sample.json"
    a = {"type": ["integer", "null"], "default": None}
    schema.write_text(json.dumps({"type": "object", "properties": {"a": a, "b": {"type": "number"}}}))
    sample.write_text(json.dumps([{"a": 1, "b": 0}]))
    frame = pd.DataFrame({"a": [1, 2, 3, 4], "b": [0.0, 1, 0, 1]})
    pipeline = make_pipeline(LogisticRegression()).fit(frame, [0, 1, 0, 1])

    inspected = inspect(save(pipeline), VersionRequest(schema=SchemaSource(schema, "json_schema"), sample=sample))

    (check,) = (check for check in inspected.report.checks if check.name == "nulls")
    assert "null in a" in check.detail
    found = inspected.version_fields
    assert found["schema"]["properties"]["a"]["type"] == "integer"
    assert found["schema"]["required"] == ["a", "b"]
    assert found["columns"][0]["dtype"] == "float64"


def test_it_leaves_the_schema_of_a_registered_version(
    penguins_artifact: Path, penguins_request: VersionRequest
) -> None:
    found = inspect(penguins_artifact, penguins_request).version_fields
    record = StoredRecord(found["schema"], found["columns"], found["container"], found["sample_rows"])

    again = inspect(penguins_artifact, dataclasses.replace(VersionRequest("penguins", "1.0")), stored=record)

    details = {check.name: (check.status, check.detail) for check in again.report.checks}
    assert details["answers"] == details["nulls"] == ("passed", "As registered.")
    assert again.version_fields["schema"] == found["schema"]


def _first_letters(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.map(lambda text: text[0])


class _AnswersItsInput(LinearRegression):  # type: ignore[misc]
    def predict(self, X: Any) -> Any:  # noqa: N803
        return np.asarray(X)[:, 0]
