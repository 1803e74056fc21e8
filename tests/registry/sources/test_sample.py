"""What the inspection makes of a sample: a table of the pipeline's columns, or a refusal that names them."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder

from registry.inspection.inspect import Inspected, inspect
from registry.inspection.report import Check
from registry.inspection.version_request import SchemaSource, VersionRequest

Save = Callable[..., Path]

FRAME = pd.DataFrame(
    {"rooms": np.arange(60) % 6 + 1, "area": np.arange(60) * 1.5 + 40, "town": ["Köln", "Ulm", "Bonn"] * 20}
)
PRICE = FRAME["rooms"] * 10 + FRAME["area"]
HEAD = FRAME.head(5)
MODEL = HistGradientBoostingRegressor(max_iter=5)


def whole() -> Pipeline:
    """Says of each column that it may be missing, or may have other values."""
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = [("n", SimpleImputer(), ["rooms", "area"]), ("t", encoder, ["town"])]
    return make_pipeline(ColumnTransformer(columns), MODEL).fit(FRAME, PRICE)


def bare() -> Pipeline:
    """Says nothing of its columns but their names, and that it computes with them."""
    return make_pipeline(LinearRegression()).fit(FRAME[["rooms", "area"]], PRICE)


def inspected(artifact: Path, content: str | bytes, name: str, schema: SchemaSource | None = None) -> Inspected:
    sample = artifact.with_name(name)
    sample.write_bytes(content if isinstance(content, bytes) else content.encode())
    return inspect(artifact, VersionRequest(sample=sample, schema=schema))


def refusal_of(found: Inspected) -> Check:
    (failed,) = found.report.failed
    return failed


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("sample.csv", HEAD.to_csv(index=False, sep=";", decimal=","), "semicolon-separated, with decimal commas"),
        ("sample.csv", HEAD.to_csv().encode("latin-1"), "in Windows-1252 (it is not UTF-8), without the index"),
        ("sample.json", HEAD.to_json(), "to_json(orient='columns')"),
    ],
)
def test_it_predicts_the_rows_that_are_meant_and_says_how_it_read_them(
    save: Save, name: str, content: str | bytes, said: str
) -> None:
    pipeline = whole()

    found = inspected(save(pipeline), content, name)

    assert found.version_fields["sample_rows"] == HEAD.to_dict("records")
    assert found.version_fields["golden_outputs"]["predictions"] == pipeline.predict(HEAD).tolist()
    (accepts,) = (check for check in found.report.checks if check.name == "accepts")
    assert accepts.status == "passed"
    assert said in accepts.detail


@pytest.mark.parametrize("make", [whole, bare])
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("id,price\n1,2\n3,4\n", "Columns that the pipeline needs are absent: rooms, area"),
        (HEAD.rename(columns=str.upper).to_csv(index=False), "It writes 'ROOMS' for 'rooms', 'AREA' for 'area'"),
        (HEAD[["rooms"]].to_csv(index=False), "needs are absent: area"),
    ],
)
def test_it_refuses_a_sample_without_the_pipelines_columns(
    save: Save, make: Callable[[], Pipeline], content: str, sentence: str
) -> None:
    refusal = refusal_of(inspected(save(make()), content, "sample.csv"))

    assert refusal.name == "accepts"
    assert sentence in refusal.detail
    assert refusal.fix.startswith("Give rows with the raw columns, named as in training")


def test_it_lets_a_written_schema_say_which_columns_may_be_absent(save: Save, tmp_path: Path) -> None:
    nodes = {name: {"type": ["number", "null"]} for name in ("rooms", "area")}
    schema = tmp_path / "schema.json"
    artifact = save(make_pipeline(MODEL).fit(FRAME[["rooms", "area"]], PRICE))

    schema.write_text(json.dumps({"type": "object", "properties": nodes, "required": ["rooms"]}))
    accepted = inspected(artifact, "rooms\n3\n", "sample.csv", SchemaSource(schema, "json_schema"))
    refusal = refusal_of(inspected(artifact, "area\n80\n", "sample.csv", SchemaSource(schema, "json_schema")))

    assert accepted.report.is_accepted
    assert refusal.detail == "Columns that the schema needs are absent: rooms. It has area."


def test_it_blames_a_written_schema_for_columns_of_its_own(save: Save, tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    nodes = {name: {"type": "number"} for name in ("rooms", "areas")}
    schema.write_text(json.dumps({"type": "object", "properties": nodes, "required": list(nodes)}))

    refusal = refusal_of(
        inspected(save(bare()), "rooms,area\n3,80\n", "sample.csv", SchemaSource(schema, "json_schema"))
    )

    assert refusal.name == "schema"
    assert "The schema has areas, which the pipeline was not trained on" in refusal.detail


def test_it_reads_cells_as_a_written_schema_says_from_the_beginning(save: Save, tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    nodes = {"rooms": {"type": "number"}, "area": {"type": "number"}, "town": {"type": "string"}}
    schema.write_text(json.dumps({"type": "object", "properties": nodes, "required": list(nodes)}))

    found = inspected(save(whole()), 'rooms,area,town\n3,80,"1,5"\n', "sample.csv", SchemaSource(schema, "json_schema"))

    assert found.version_fields["sample_rows"] == [{"rooms": 3.0, "area": 80.0, "town": "1,5"}]


def test_it_does_not_take_an_empty_row_for_columns_that_may_be_empty(save: Save) -> None:
    pipeline = make_pipeline(LinearRegression()).fit(FRAME[["rooms", "area"]], PRICE)

    found = inspected(save(pipeline), "rooms;area\n3;80,5\n;\n", "sample.csv")

    assert found.version_fields["sample_rows"] == [{"rooms": 3, "area": 80.5}]
    assert found.version_fields["schema"]["required"] == ["rooms", "area"]


@pytest.mark.parametrize("content", ["rooms,area\n", "rooms,area\n,\n", "[]", "[{}]"])
def test_it_refuses_a_sample_without_rows(save: Save, content: str) -> None:
    assert refusal_of(inspected(save(bare()), content, "sample.csv")).detail == "The sample holds no rows."


def test_it_says_how_it_read_a_sample_that_does_not_fit(save: Save) -> None:
    pipeline = make_pipeline(MODEL).fit(FRAME[["rooms", "area"]].to_numpy(), PRICE)

    refusal = refusal_of(inspected(save(pipeline), HEAD.to_csv(sep=";"), "sample.csv"))

    assert refusal.name == "schema"
    assert refusal.detail.endswith("Read as semicolon-separated, without the index in its first column.")
