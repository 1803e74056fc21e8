"""Layouts of rows in JSON."""

import json
from typing import Any

import pandas as pd
import pytest

from mlserve.errors import BadUpload
from registry.tables.json_layouts import null_for_nan, records_of

ROWS: list[dict[str, Any]] = [{"rooms": 3, "town": "Köln"}, {"rooms": 4, "town": None}]
FRAME = pd.DataFrame(ROWS)


def written(orient: Any, frame: pd.DataFrame = FRAME) -> Any:
    return json.loads(frame.to_json(orient=orient) or "")


@pytest.mark.parametrize("orient", ["split", "index", "columns", "table"])
@pytest.mark.parametrize("index", [[0, 1], [17, 5]], ids=["counted", "shuffled"])
def test_it_reads_each_orient_that_names_columns(orient: str, index: list[int]) -> None:
    value = written(orient, FRAME.set_axis(index))

    assert records_of(value, "rows.json") == (ROWS, f"to_json(orient='{orient}')")


@pytest.mark.parametrize(
    ("value", "layout"),
    [
        (ROWS, "a list of records"),
        (ROWS[:1], "a list of records"),
        ({"rooms": [3, 4], "town": ["Köln", None]}, "a list for each column"),
        ({"dataframe_split": written("split")}, "to_json(orient='split') in dataframe_split"),
        ({"dataframe_records": ROWS}, "a list of records in dataframe_records"),
        ({"inputs": ROWS, "params": {"x": 1}}, "a list of records in inputs"),
        ({"inputs": {"rooms": [3, 4], "town": ["Köln", None]}}, "a list for each column in inputs"),
        ({"instances": ROWS}, "a list of records in instances"),
        ({"columns": ["rooms", "town"], "data": [[3, "Köln"], [4, None]]}, "to_json(orient='split')"),
    ],
)
def test_it_reads_what_servers_take(value: Any, layout: str) -> None:
    rows, found = records_of(value, "rows.json")

    assert (rows, found) == (ROWS[: len(rows)], layout)


@pytest.mark.parametrize("record", [{"rooms": 3}, {"inputs": 3, "town": "Ulm"}, {"data": 1, "columns": 2}])
def test_it_reads_one_record(record: Any) -> None:
    assert records_of(record, "row.json") == ([record], "one record")


def test_it_tells_rows_from_columns_by_known_names() -> None:
    by_rows = {"x": {"a": 1, "b": 2}, "y": {"a": 3, "b": 4}}

    assert records_of(by_rows, "rows.json", ("a", "b"))[0] == [{"a": 1, "b": 2}, {"a": 3, "b": 4}]
    assert records_of(by_rows, "rows.json", ("x", "y"))[0] == [{"x": 1, "y": 3}, {"x": 2, "y": 4}]
    with pytest.raises(BadUpload, match=r"may be to_json\(orient='columns'\) or to_json\(orient='index'\)"):
        records_of(by_rows, "rows.json")


def test_it_keeps_an_index_that_training_saw() -> None:
    value = written("table", FRAME.rename_axis("id"))

    assert records_of(value, "rows.json")[0] == ROWS
    assert records_of(value, "rows.json", ("id", "rooms"))[0][1] == {"id": 1, **ROWS[1]}


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ([[3, "Köln"], [4, None]], "as to_json(orient='values') writes"),
        ({"inputs": [[3], [4]]}, "rows.json: inputs holds rows of values"),
        ({"instances": [3, 4]}, "rows.json: instances: row 1 is not a record"),
        ([{"rooms": 3}, 4], "row 2 is not a record"),
        (3, "row 1 is not a record"),
        ({"rows": ROWS, "count": 2}, "rows holds more than one value"),
        ({"inputs": {"inputs": ROWS, "x": 1}}, "inputs holds more than one value"),
        ({"columns": ["a"], "data": [[1, 2]]}, "row 1 is not a list of 1 values"),
        ({"columns": ["a", "a"], "data": [[1, 2]]}, "names a more than once"),
        ({"columns": [["a", "b"]], "data": [[1]]}, "columns must be a list of names"),
        ({"a": [1, 2], "b": [1]}, "different numbers of values (a 2, b 1)"),
        ({"a": {"0": 1}, "b": {"1": 1}}, "its objects have different keys"),
    ],
)
def test_it_refuses_by_name_what_has_no_table(value: Any, sentence: str) -> None:
    with pytest.raises(BadUpload) as refusal:
        records_of(value, "rows.json")

    assert sentence in refusal.value.detail


def test_it_puts_null_for_nan() -> None:
    rows = [{"a": 1.0, "b": float("nan")}, {"a": 2.0, "b": 1.0}]

    assert null_for_nan(rows) == ["b"]
    assert rows[0] == {"a": 1.0, "b": None}
