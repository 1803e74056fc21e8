"""Schemas written by hand: a pydantic class or a JSON file, joined with what the pipeline knows."""

import json
from pathlib import Path
from typing import Any

import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from mlserve.errors import BadUpload
from registry.schema.record import RecordSchema
from registry.sources.pydantic_classes import from_pydantic
from registry.sources.schemas import explicit, from_json_file
from tests import pipelines
from tests.registry.sources.test_schemas import CITIES, NUMBERS, Y, forest, many


def written(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


NUMBER = {"type": "number"}


def scaled(*columns: str, frame: Any = NUMBERS) -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(frame, Y)


def test_it_takes_a_written_schema_over_the_pipelines() -> None:
    pipeline = make_pipeline(ColumnTransformer([("a", OneHotEncoder(), ["a"])]), LogisticRegression()).fit(CITIES, Y)

    schema = explicit(written(a={"enum": ["Bern", "Chur"]}, b={"type": "integer", "maximum": 99}), pipeline, []).schema

    assert schema.properties["a"] == {"type": "string", "enum": ["Bern", "Chur"]}
    assert schema.properties["b"] == {"type": "integer", "maximum": 99}


def test_it_adds_what_training_saw_to_a_written_schema() -> None:
    schema = explicit(written(a=NUMBER, b={**NUMBER, "x-training-usual": [1, 2]}), scaled(), []).schema

    assert schema.properties["a"]["x-training-usual"][0] == 3.5
    assert schema.properties["b"]["x-training-usual"] == [1, 2]


@pytest.mark.parametrize(
    ("note", "is_shown"), [({}, True), ({"x-stored": "hashed"}, False), ({"x-stored": "no"}, False)]
)
def test_it_shows_no_training_values_of_redacted_columns(note: dict[str, Any], is_shown: bool) -> None:
    encoder = OneHotEncoder(handle_unknown="ignore")
    pipeline = make_pipeline(ColumnTransformer([("a", encoder, ["a"])]), LogisticRegression()).fit(CITIES, Y)

    schema = explicit(written(a={"type": "string", **note}, b=NUMBER), pipeline, []).schema

    assert ("Basel" in json.dumps(schema.json_schema)) is is_shown


def test_it_adds_the_range_of_a_large_sample_to_a_written_schema() -> None:
    schema = explicit(written(a={"type": "integer"}, b=NUMBER), forest(), many(3, 7)).schema

    assert schema.properties["a"] == {"type": "integer", "x-training-range": [3.0, 7.0]}


@pytest.mark.parametrize(
    "node", [{"type": "string"}, {"type": "boolean"}, {"type": "string", "format": "date"}], ids=str
)
@pytest.mark.parametrize("pipeline", [scaled(), forest()], ids=["scaled", "forest"])
def test_it_adds_no_numbers_to_a_column_of_another_kind(node: dict[str, Any], pipeline: Pipeline) -> None:
    """They would be compared with each value, which raises in the worker."""
    schema = explicit(written(a=node, b=NUMBER), pipeline, many(3, 7)).schema

    assert schema.properties["a"] == node
    assert schema.training_warnings([{"a": "2026-01-31", "b": 1}]) == []


def test_it_puts_a_written_schema_in_the_order_of_training() -> None:
    assert explicit(written(b=NUMBER, a=NUMBER), scaled(), []).schema.names == ("a", "b")


def test_it_refuses_columns_that_the_pipeline_does_not_know() -> None:
    with pytest.raises(BadUpload, match=r"has c, which the pipeline was not trained on\. Its columns: a, b\."):
        explicit(written(a=NUMBER, b=NUMBER, c=NUMBER), scaled(), [])


def test_it_counts_the_columns_of_a_written_schema_for_an_array() -> None:
    with pytest.raises(BadUpload, match="has 2 columns, but the pipeline was trained on 3"):
        explicit(written(a=NUMBER, b=NUMBER), pipelines.array_regressor(), [])


def test_it_keeps_the_written_order_for_an_array() -> None:
    schema = explicit(written(up=NUMBER, east=NUMBER, north=NUMBER), pipelines.array_regressor(), []).schema

    assert schema.names == ("up", "east", "north")
    assert schema.container == "array"


# --- Files -------------------------------------------------------------------------------------------------------


@pytest.fixture
def module(tmp_path: Path) -> Path:
    return tmp_path / "validation.py"


def test_it_runs_a_python_file(module: Path) -> None:
    module.write_text(
        "from __future__ import annotations\n"
        "from pydantic import BaseModel\n\n"
        "class RawData(BaseModel):\n    age: int\n    city: str | None = None\n"
    )

    schema = RecordSchema.from_json_schema(from_pydantic(module, "RawData").schema)

    assert schema.names == ("age", "city")


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("class RawData(", "cannot be executed (SyntaxError"),
        ("import our_company", "imports our_company, which is not installed where mlserve runs."),
        ("1 / 0", "cannot be executed (ZeroDivisionError"),
        ("raise SystemExit(3)", "cannot be executed (SystemExit: 3)"),
        ("import sys; sys.exit()", "cannot be executed (SystemExit"),
        ("RawData = 3", "has no pydantic class 'RawData'. It defines no pydantic class."),
        ("from pydantic import BaseModel as Base", "It defines no pydantic class."),
        ("class RawData:\n    age: int", "has no pydantic class 'RawData'"),
        (
            "from pydantic import BaseModel\nclass Row(BaseModel):\n    a: int\nclass Other(Row):\n    b: int",
            "has no pydantic class 'RawData'. It has Row, Other. Name one: validation.py:Row.",
        ),
        (
            "import typing, pydantic\nclass RawData(pydantic.BaseModel):\n    a: typing.Callable[[], int]",
            "RawData gives no JSON Schema",
        ),
    ],
    ids=[
        "syntax",
        "import",
        "raises",
        "exits",
        "exits quietly",
        "value",
        "imported",
        "plain class",
        "other names",
        "type",
    ],
)
def test_it_says_what_is_wrong_with_a_python_file(module: Path, source: str, sentence: str) -> None:
    module.write_text(source)

    with pytest.raises(BadUpload) as refusal:
        from_pydantic(module, "RawData")

    assert sentence in refusal.value.detail
    assert refusal.value.detail.startswith(("validation.py ", "RawData "))


def test_it_reads_a_json_file(tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_bytes(b'\xef\xbb\xbf{"type": "object"}')

    assert from_json_file(tmp_path / "schema.json") == {"type": "object"}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b'{"maximum": NaN}', "is not JSON"),
        (b'{"maximum": 1e999}', "too large"),
        (b'{"a": 1, "a": 2}', "duplicate key"),
        (b"[]", "must hold a JSON Schema object"),
    ],
    ids=repr,
)
def test_it_says_what_is_wrong_with_a_json_file(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "schema.json").write_bytes(content)

    with pytest.raises(BadUpload) as refusal:
        from_json_file(tmp_path / "schema.json")

    assert sentence in refusal.value.detail
