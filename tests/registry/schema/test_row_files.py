import csv
import io
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlserve.errors import BadUpload
from registry.schema.record import RecordSchema
from registry.schema.row_files import cell_value, read_rows, row_file

SCHEMA = RecordSchema.from_json_schema(
    {
        "type": "object",
        "properties": {
            "id": {"type": ["integer", "null"]},
            "height": {"type": ["number", "null"]},
            "member": {"type": ["boolean", "null"]},
            "postcode": {"type": ["string", "null"]},
            "country": {"enum": ["NA", "CH", None]},
            "origin": {"type": ["string", "null"], "x-training-values": ["NA", "CH"]},
        },
    }
)


def rows_of(text: str, name: str = "sample.csv", schema: RecordSchema | None = None) -> list[Any]:
    return row_file(text.encode(), name, schema).rows


def guessed(*cells: str) -> list[Any]:
    """A column named x with these cells, read without a schema."""
    text = io.StringIO()
    csv.writer(text).writerows([["x", "n"], *([cell, "1"] for cell in cells)])
    return [row["x"] for row in rows_of(text.getvalue())]


def read(column: str, cell: str) -> Any:
    text = io.StringIO()
    csv.writer(text).writerows([[column, "other"], [cell, ""]])
    return rows_of(text.getvalue(), schema=SCHEMA)[0][column]


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1", "2"], [1, 2]),
        (["1", "2.5"], [1, 2.5]),
        (["1", ""], [1, None]),
        (["-0.5", "+3"], [-0.5, 3]),
        (["0", "10"], [0, 10]),
        (["1e3"], [1000.0]),
        (["001", "2"], ["001", "2"]),
        (["0123", "4567"], ["0123", "4567"]),
        (["-01", "2"], ["-01", "2"]),
        (["1", "x"], ["1", "x"]),
        (["1", "inf"], ["1", "inf"]),
        (["1e999", "2"], ["1e999", "2"]),
        (["True", "false", ""], [True, False, None]),
        (["true", "1"], ["true", "1"]),
        (["NA", "a", "NaN"], [None, "a", None]),
        (["", ""], [None, None]),
        ([" a ", "b"], [" a ", "b"]),
    ],
    ids=str,
)
def test_it_guesses_what_a_column_is(cells: list[str], values: list[Any]) -> None:
    found = guessed(*cells)

    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]


@pytest.mark.parametrize(
    ("column", "cell", "value"),
    [
        ("id", "7", 7),
        ("id", "7.0", 7),
        ("id", "1e3", 1000),
        ("id", "007", 7),
        ("id", "9007199254740993", 2**53 + 1),
        ("id", "-9223372036854775808", -(2**63)),
        ("id", "7.5", 7.5),
        ("id", "seven", "seven"),
        ("id", "", None),
        ("id", "NaN", None),
        ("height", "1.80", 1.8),
        ("height", " 2 ", 2.0),
        ("height", "inf", "inf"),
        ("height", "1,80", "1,80"),
        ("height", "N/A", None),
        ("member", "TRUE", True),
        ("member", "0", False),
        ("member", "yes", "yes"),
        ("postcode", "0123", "0123"),
        ("postcode", "1", "1"),
        ("postcode", " a ", " a "),
        ("postcode", "NA", None),
        ("postcode", "none", "none"),
        ("country", "NA", "NA"),
        ("country", "", None),
        ("origin", "NA", "NA"),
        ("origin", "N/A", None),
        ("other", "", None),
    ],
)
def test_it_reads_a_cell_as_the_schema_says(column: str, cell: str, value: Any) -> None:
    found = read(column, cell) if column != "other" else read("id", cell)

    assert found == value
    assert type(found) is type(value)


def test_it_leaves_alone_what_does_not_fit_for_the_schema_to_refuse() -> None:
    assert cell_value({"type": "integer"}, "1" * 5000) == "1" * 5000


@pytest.mark.parametrize("cell", ["", "NA", "N/A", "n/a", "nan", "NaN", "null", "NULL", "None", "<NA>", "none", "na"])
def test_it_takes_for_missing_what_pandas_does(cell: str) -> None:
    training = pd.read_csv(io.StringIO(f"x,y\n{cell},1\na,1\n"))

    assert (guessed(cell, "a")[0] is None) == bool(training["x"].isna()[0])


def test_it_reads_quoted_cells_over_several_lines() -> None:
    text = 'a,b\r\n"x, ""y""","line\none"\r\n'

    assert rows_of(text) == [{"a": 'x, "y"', "b": "line\none"}]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "sample.csv is empty"),
        ("\n\n", "sample.csv is empty"),
        ("a,b,a\n1,2,3\n", "names a more than once"),
        ("a,b\n1,2\n3\n", "line 3: 1 cells, but the header names 2"),
        ("a,b\n1,2,3\n", "line 2: 3 cells"),
        ('a,b\n"1,2\n', "unexpected end of data"),
    ],
    ids=repr,
)
def test_it_says_what_is_wrong_with_a_csv_file(text: str, sentence: str) -> None:
    with pytest.raises(BadUpload) as refusal:
        rows_of(text)

    assert sentence in refusal.value.detail


def test_it_counts_the_lines_of_the_file() -> None:
    """Also behind empty lines and cells that hold line breaks."""
    with pytest.raises(BadUpload, match="line 6: 1 cells"):
        rows_of('a,b\n"x\ny",2\n\n3,4\n5\n')


@pytest.mark.parametrize(("text", "rows"), [('{"a": 1}', [{"a": 1}]), ('[{"a": null}]', [{"a": None}]), ("[]", [])])
def test_it_reads_json(text: str, rows: list[Any]) -> None:
    assert rows_of(text, "sample.json") == rows


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is empty"),
        ('[{"a": Infinity}]', "is infinite or too large"),
        ('[{"a": 1e999}]', "too large"),
        ('[{"a": "\\u0000"}]', "NUL"),
        ('{"a": 1, "a": 2}', 'duplicate key "a"'),
        ('[{"a": 1}, 2]', "row 2 is not a record"),
        ("3", "row 1 is not a record"),
    ],
)
def test_it_says_what_is_wrong_with_a_json_file(text: str, sentence: str) -> None:
    with pytest.raises(BadUpload) as refusal:
        rows_of(text, "sample.json")

    assert "sample.json" in refusal.value.detail
    assert sentence in refusal.value.detail


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "bom"])
@pytest.mark.parametrize("name", ["sample.csv", "SAMPLE.CSV"])
def test_it_reads_a_csv_file(tmp_path: Path, mark: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(mark + "größe\n1\n".encode())

    assert read_rows(tmp_path / name) == [{"größe": 1}]


def test_it_reads_a_json_file(tmp_path: Path) -> None:
    (tmp_path / "sample.json").write_text('[{"a": 1}]')

    assert read_rows(tmp_path / "sample.json") == [{"a": 1}]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"a\n\x81\n", "neither UTF-8 nor Windows-1252 text (byte 2)"), (b"a\nx\x00y\n", "NUL")],
    ids=repr,
)
def test_it_refuses_a_file_that_is_no_text(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "sample.csv").write_bytes(content)

    with pytest.raises(BadUpload) as refusal:
        read_rows(tmp_path / "sample.csv")

    assert sentence in refusal.value.detail


def test_it_refuses_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadUpload, match="No such file"):
        read_rows(tmp_path / "absent.csv")


_CELLS = st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), min_size=1, max_size=8)


def as_csv(rows: list[dict[str, Any]]) -> str:
    """The rows as Python's own writer puts them."""
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, fieldnames=["postcode", "id"])
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


@given(st.lists(st.fixed_dictionaries({"postcode": _CELLS, "id": st.none() | st.integers(-(2**63), 2**63 - 1)})))
def test_it_reads_what_csv_writers_write(rows: list[dict[str, Any]]) -> None:
    written = as_csv(rows)

    again = rows_of(written, schema=SCHEMA) if rows else []
    blank = ("NA", "N/A", "n/a", "nan", "NaN", "null", "NULL", "None", "<NA>", "#N/A", "-nan", "-NaN", "")
    expected = [
        {**row, "postcode": None if row["postcode"] is None or row["postcode"].strip() in blank else row["postcode"]}
        for row in rows
    ]
    assert again == expected
