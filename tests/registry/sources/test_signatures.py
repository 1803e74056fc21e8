"""What an MLflow signature and the fitted pipeline say together."""

from typing import Any

import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder

from mlserve.errors import BadUpload
from registry.bundles.signature import MARK, MARK_OF_MLFLOW
from registry.schema.record import RecordSchema
from registry.sources.signatures import from_signature, is_signature

FRAME = pd.DataFrame(
    {"plain": [1, 2], "gaps": [1.5, None], "city": ["a", "b"], "day": pd.to_datetime(["2026-01-31"] * 2)}
)


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    columns = [
        ("gaps", SimpleImputer(), ["gaps"]),
        ("city", OneHotEncoder(), ["city"]),
        ("plain", "passthrough", ["plain"]),
    ]
    return make_pipeline(ColumnTransformer(columns), LogisticRegression()).fit(FRAME, [0, 1])


def read(pipeline: Pipeline, **properties: Any) -> RecordSchema:
    columns = {
        "plain": {"type": "integer"},
        "gaps": {"type": "number", "x-dtype": "float32"},
        "city": {"type": "string"},
        "day": {"type": "string", "format": "date-time"},
        **properties,
    }
    written = {"type": "object", MARK: MARK_OF_MLFLOW, "properties": columns, "required": list(columns)}
    assert is_signature(written)
    return from_signature(written, pipeline, []).schema


def test_it_takes_types_from_the_signature_and_values_from_the_pipeline(pipeline: Pipeline) -> None:
    properties = read(pipeline).properties

    assert properties["plain"]["type"] == "integer"
    assert properties["gaps"]["type"] == ["number", "null"]
    assert properties["gaps"]["x-dtype"] == "float32"
    assert properties["city"]["enum"] == ["a", "b"]


def test_it_lets_optional_columns_be_absent(pipeline: Pipeline) -> None:
    schema = read(pipeline, plain={"type": ["integer", "null"]})

    assert "plain" not in schema.json_schema["required"]


def test_it_refuses_columns_that_the_pipeline_does_not_have(pipeline: Pipeline) -> None:
    with pytest.raises(BadUpload, match="other"):
        read(pipeline, other={"type": "integer"})
