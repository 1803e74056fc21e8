"""What the inspection says of the inputs."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from registry.inspection.inspect import inspect
from registry.inspection.version_request import SchemaSource, VersionRequest

Save = Callable[..., Path]


def test_it_warns_of_a_pattern_that_takes_too_long(save: Save, tmp_path: Path) -> None:
    frame = pd.DataFrame({"code": ["aa", "aaa"]})
    pipeline = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LinearRegression()).fit(frame, [1.0, 2.0])
    node = {"type": "string", "pattern": "^((?!x)a+)+$"}
    schema, sample = tmp_path / "schema.json", tmp_path / "sample.csv"
    schema.write_text(json.dumps({"type": "object", "properties": {"code": node}, "required": ["code"]}))
    sample.write_text("code\naa\naaa\n")

    inspected = inspect(save(pipeline), VersionRequest(schema=SchemaSource(schema, "json_schema"), sample=sample))

    (check,) = (check for check in inspected.report.checks if check.name == "schema")
    assert check.status == "warning"
    assert "The pattern of the column 'code' takes too long for some texts, such as 'aaaaaaaaaa" in check.detail
    assert "one way only" in check.fix
    assert inspected.version_fields["schema"]["properties"]["code"]["maxLength"] == 1_000
