"""Answers as CSV: nothing that spreadsheets would execute."""

import csv
import io
from typing import Any

import pytest

from predictions.store.csv_answers import with_answers


def cells(rows: list[dict[str, Any]], answers: list[Any]) -> list[list[str]]:
    return list(csv.reader(io.StringIO(with_answers(rows, {"predictions": answers}), newline="")))


@pytest.mark.parametrize(
    "text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "=HYPERLINK(1)", "-inf+1"]
)
def test_it_writes_no_formula(text: str) -> None:
    header, row = cells([{text: text}], [text])

    assert header == [f"'{text}", "prediction"]
    assert row == [f"'{text}", f"'{text}"]


@pytest.mark.parametrize(
    ("value", "cell"),
    [(-5, "-5"), (-1.5e-7, "-1.5e-07"), ("-6", "-6"), ("+5.5", "+5.5"), ("-1e3", "-1e3"), ("-", "-"), ("a=b", "a=b"),
     ("", ""), (None, ""), (True, "true")],
)  # fmt: skip
def test_it_leaves_everything_else_as_it_is(value: Any, cell: str) -> None:
    assert cells([{"a": value}], [value])[1] == [cell, cell]
