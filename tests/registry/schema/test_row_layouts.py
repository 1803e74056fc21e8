"""Files of rows as people have them, each with the rows that are meant."""

import json
from typing import Any

import pandas as pd
import pytest

from mlserve.errors import BadUpload
from registry.schema.record import RecordSchema
from registry.schema.row_files import SUFFIXES, row_file

NAMES = ("rooms", "area", "town")
ROWS = [
    {"rooms": 3, "area": 80.5, "town": "Köln"},
    {"rooms": 5, "area": 121.25, "town": "Ulm"},
    {"rooms": 2**53 + 1, "area": 9.0, "town": "Bonn"},
]
FRAME = pd.DataFrame(ROWS)
SCHEMA = RecordSchema.from_json_schema(
    {
        "type": "object",
        "properties": {"rooms": {"type": "integer"}, "area": {"type": "number"}, "town": {"type": "string"}},
    }
)
CSV = FRAME.to_csv(index=False)


def as_json(orient: Any, **options: Any) -> str:
    return FRAME.to_json(orient=orient, **options) or ""


LAYOUTS: dict[str, tuple[str, str | bytes, str]] = {
    "plain": ("sample.csv", CSV, ""),
    "semicolon": ("sample.csv", FRAME.to_csv(index=False, sep=";"), "semicolon-separated"),
    "decimal comma": (
        "sample.csv",
        FRAME.to_csv(index=False, sep=";", decimal=","),
        "semicolon-separated, with decimal commas",
    ),
    "tab in csv": ("sample.csv", FRAME.to_csv(index=False, sep="\t"), "tab-separated"),
    "tab": ("sample.tsv", FRAME.to_csv(index=False, sep="\t"), "tab-separated"),
    "tab with decimal comma": (
        "sample.txt",
        FRAME.to_csv(index=False, sep="\t", decimal=","),
        "tab-separated, with decimal commas",
    ),
    "bar": ("sample.txt", FRAME.to_csv(index=False, sep="|"), "separated by |"),
    "blanks": ("sample.csv", CSV.replace(",", ", "), "comma-separated, without the blanks behind separators"),
    "latin-1": ("sample.csv", CSV.encode("latin-1"), "comma-separated, in Windows-1252 (it is not UTF-8)"),
    "utf-8 with mark": ("sample.csv", CSV.encode("utf-8-sig"), ""),
    "unicode text of Excel": (
        "sample.txt",
        FRAME.to_csv(index=False, sep="\t").encode("utf-16"),
        "tab-separated, in UTF-16",
    ),
    "index": ("sample.csv", FRAME.to_csv(), "comma-separated, without the index in its first column"),
    "sep line": ("sample.csv", f"sep=,\n{CSV}", ""),
    "columns": ("sample.json", as_json(None), "to_json(orient='columns')"),
    "index orient": ("sample.json", as_json("index"), "to_json(orient='index')"),
    "split": ("sample.json", as_json("split"), "to_json(orient='split')"),
    "table": ("sample.json", as_json("table"), "to_json(orient='table')"),
    "records": ("sample.json", as_json("records"), ""),
    "records in utf-16": ("sample.json", as_json("records").encode("utf-16"), "a list of records, in UTF-16"),
    "MLflow": (
        "sample.json",
        f'{{"dataframe_split": {as_json("split")}}}',
        "to_json(orient='split') in dataframe_split",
    ),
    "inputs": ("sample.json", json.dumps({"inputs": ROWS}), "a list of records in inputs"),
    "lines": ("sample.json", as_json("records", lines=True), "JSON lines"),
    "jsonl": ("sample.jsonl", as_json("records", lines=True), "JSON lines"),
    "json in txt": ("sample.txt", json.dumps(ROWS), ""),
}


@pytest.mark.parametrize("known", [(), NAMES], ids=["names unknown", "names known"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_it_reads_the_rows_that_are_meant(layout: str, known: tuple[str, ...]) -> None:
    name, content, said = LAYOUTS[layout]

    file = row_file(content if isinstance(content, bytes) else content.encode(), name, None, known)

    assert file.rows == ROWS
    assert [type(value) for value in file.rows[2].values()] == [int, float, str]
    assert file.layout == (f"Read as {said}." if said else "")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_it_reads_the_same_rows_with_a_schema(layout: str) -> None:
    name, content, _ = LAYOUTS[layout]

    assert row_file(content if isinstance(content, bytes) else content.encode(), name, SCHEMA).rows == ROWS


def test_it_keeps_cells_and_columns_as_they_are_written() -> None:
    file = row_file(b";area;id\n0;80,50;007\n", "rows.csv", SCHEMA)

    assert file.rows == [{"area": 80.5, "id": "007"}]
    assert file.originals == [{"": "0", "area": "80,50", "id": "007"}]


def test_it_reads_nan_as_null_and_says_so() -> None:
    file = row_file(json.dumps([{**ROWS[0], "area": float("nan")}]).encode(), "sample.json")

    assert file.rows == [{**ROWS[0], "area": None}]
    assert file.layout == "Read as a list of records, with NaN as null in area."


def test_it_says_how_it_read_a_number_that_may_be_more_than_a_thousand() -> None:
    file = row_file(b"rooms;area\n3;1.234\n4;2.500\n", "sample.csv")

    assert [row["area"] for row in file.rows] == [1.234, 2.5]
    assert "with 1.234 in area as a number below a thousand" in file.layout


def test_it_leaves_a_comma_in_a_column_of_texts() -> None:
    file = row_file(b"town;area\n1,5;2,5\n", "sample.csv", SCHEMA)

    assert file.rows == [{"town": "1,5", "area": 2.5}]


@pytest.mark.parametrize("cell", [str(2**53 + 1), str(2**64 + 1), "1" * 60])
@pytest.mark.parametrize("schema", [None, SCHEMA], ids=["guessed", "described"])
@pytest.mark.parametrize("column", ["rooms", "area"])
def test_it_never_rounds_a_whole_number(cell: str, schema: RecordSchema | None, column: str) -> None:
    (row,) = row_file(f"{column},town\n{cell},Ulm\n".encode(), "sample.csv", schema).rows
    (same,) = row_file(f'[{{"{column}": {cell}}}]'.encode(), "sample.json", schema).rows

    assert row[column] == same[column] == int(cell)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("sample.json", as_json("values"), "as to_json(orient='values') writes"),
        ("sample.csv", FRAME.to_csv(index=False, header=False), "the first line holds values (3, 80.5, Köln)"),
        (
            "sample.csv",
            "rooms;area\n3;1.234,5\n",
            "sample.csv: 1.234,5 in the column 'area' is a number with separators",
        ),
        ("sample.csv", 'rooms,area\n3,"80,5"\n', "80,5 in the column 'area' has a comma as decimal mark"),
        ("sample.jsonl", '{"a": 1}\n\n{"a": }\n', "sample.jsonl, line 3: expected value"),
        ("sample.json", '{"a": 1}\n{"a": 1, "a": 2}\n', 'line 2: Detected duplicate key "a"'),
        ("sample.json", CSV, "is not JSON: expected value at line 1 column 1. Rows are a list of records"),
        ("sample.json", "", "sample.json is empty."),
        ("sample.csv", " \n", "is empty"),
        ("sample.csv", '[{"a": 1}', "is not JSON"),
    ],
)
def test_it_refuses_with_the_next_step(name: str, content: str, sentence: str) -> None:
    with pytest.raises(BadUpload) as refusal:
        row_file(content.encode(), name)

    assert sentence in refusal.value.detail


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_it_looks_into_a_file_of_any_suffix(suffix: str) -> None:
    assert row_file(json.dumps(ROWS).encode(), f"sample{suffix}").rows == ROWS
