"""CSV and its relatives."""

import csv
import io
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlserve.errors import BadUpload
from registry.tables.separated import Cells, cells_of


def read(text: str, *known: str) -> Cells:
    return cells_of(text, "rows.csv", known)


def refusal_of(text: str, *known: str) -> str:
    with pytest.raises(BadUpload) as refusal:
        read(text, *known)
    return refusal.value.detail


@pytest.mark.parametrize("separator", list(",;\t|"))
def test_it_recognises_the_separator(separator: str) -> None:
    text = separator.join(["rooms", "town"]) + "\n" + separator.join(["3", '"Ulm, a; b | c\td"']) + "\n"

    assert (read(text).header, read(text).lines) == (["rooms", "town"], [["3", "Ulm, a; b | c\td"]])


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("price, EUR;rooms\n3;4\n5;6\n", ["price, EUR", "rooms"]),
        ("a,b|c\n1,2\n", ["a", "b|c"]),
        ("text\nhello; you\n", ["text"]),
    ],
)
def test_it_takes_the_separator_that_makes_rows_as_wide_as_the_header(text: str, header: list[str]) -> None:
    assert read(text).header == header


def test_it_recognises_the_separator_of_a_very_wide_table() -> None:
    names = [f"column{index}" for index in range(40_000)]

    assert read(";".join(names) + "\n" + ";".join(["1"] * len(names)) + "\n").header == names


def test_it_takes_the_separator_that_gives_the_known_columns() -> None:
    text = "a;b,c\n1;2,3\n"

    assert read(text, "a", "b,c").header == ["a", "b,c"]
    assert read(text, "a;b", "c").header == ["a;b", "c"]
    assert "may be comma-separated or semicolon-separated" in refusal_of(text)
    assert "Begin it with a line that names its columns" in refusal_of("3;80,5;Ulm\n4;90,1;Bonn\n")


@pytest.mark.parametrize("line", ["sep=;", '"sep=;"', "SEP=;\r"])
def test_it_obeys_the_line_that_excel_reads(line: str) -> None:
    cells = read(f"{line}\na,b;c\n1,2;3\n")

    assert (cells.header, cells.lines) == (["a,b", "c"], [["1,2", "3"]])
    assert "line 4: 1 cells" in refusal_of(f"{line}\na,b;c\n1,2;3\n4\n")


@pytest.mark.parametrize(
    ("text", "lines"),
    [("a, b\n1, x y\n2, z\n", [["1", "x y"], ["2", "z"]]), ('a, b\n1, "x, y"\n', [["1", "x, y"]])],
)
def test_it_leaves_out_the_blanks_behind_separators(text: str, lines: list[list[str]]) -> None:
    cells = read(text)

    assert (cells.header, cells.lines) == (["a", "b"], lines)
    assert cells.notes == ("without the blanks behind separators",)


def test_it_keeps_the_blanks_that_training_saw() -> None:
    cells = read("age, workclass\n39, State-gov\n", "age", " workclass")

    assert (cells.header, cells.lines) == (["age", " workclass"], [["39", " State-gov"]])


@pytest.mark.parametrize(
    "text", [",a\n0,x\n1,y\n", '"",a\n"7",x\n"3",y\n', "Unnamed: 0,a\n0,x\n1,y\n"], ids=["default", "shuffled", "read"]
)
def test_it_recognises_an_index(text: str) -> None:
    cells = read(text)

    assert cells.has_index
    assert cells.notes == ("without the index in its first column",)


@pytest.mark.parametrize("first", ["", "Unnamed: 0"])
def test_it_takes_an_index_for_a_column_that_training_saw(first: str) -> None:
    cells = read(f"{first},a\n0,x\n", "Unnamed: 0", "a")

    assert (cells.header, cells.has_index) == (["Unnamed: 0", "a"], False)


def test_it_leaves_out_what_spreadsheets_leave_at_the_right() -> None:
    cells = read("a;b;;\n1;2;;\n")

    assert (cells.header, cells.lines) == (["a", "b"], [["1", "2"]])


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("3,80.5,Ulm\n4,90.1,Bonn\n", ("rooms", "area", "town")),
        ("3;80;Ulm\n4;90;Bonn\n", ()),
        ("0,3,80.5\n1,4,90.1\n", ("rooms", "area")),
    ],
)
def test_it_refuses_a_table_without_a_header(text: str, known: tuple[str, ...]) -> None:
    assert "the first line holds values" in refusal_of(text, *known)


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("2019,2020\n1,2\n", ("2019", "2020")),
        ("item,2019\n1,2\n", ()),
        ("0,1,2\n5,6,7\n", ()),
        (",0,1\n0,5,6\n", ()),
    ],
)
def test_it_accepts_numbers_as_names(text: str, known: tuple[str, ...]) -> None:
    assert read(text, *known).lines


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is empty"),
        ("sep=;\n", "is empty"),
        (",a\nx,1\n", "the first column has no name"),
        ("a,,b\n1,2,3\n", "column 2 has no name"),
        (",\n0,\n1,\n", "an index and no other column"),
        ("a,b,a\n1,2,3\n", "names a more than once"),
        (
            "a;b\n1;2\n3;4;5\n",
            "line 3: 3 cells, but the header names 2. Name each column, and put cells with a ';' into double quotes.",
        ),
    ],
)
def test_it_says_what_is_wrong(text: str, sentence: str) -> None:
    assert sentence in refusal_of(text)


@pytest.mark.parametrize(
    "text", ["a," * 500_000 + "a\n", '"' + "x" * 2_000_000, "a,b\n" + "1,2\n" * 500_000 + "3\n", ";" * 1_000_000]
)
def test_it_refuses_hostile_text_soon(text: str) -> None:
    started = time.monotonic()

    assert refusal_of(text)
    assert time.monotonic() - started < 20


_CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), max_size=8)


@given(st.lists(st.tuples(_CELLS, _CELLS), min_size=1), st.sampled_from(",;\t|"))
def test_it_reads_what_csv_writers_write(rows: list[tuple[str, str]], separator: str) -> None:
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=separator).writerows([("rooms", "town"), *rows])

    assert read(out.getvalue(), "rooms", "town").lines == [list(row) for row in rows]
