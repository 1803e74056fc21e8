"""Numbers as text."""

import re
import time

import pytest

from registry.tables.numbers import has_decimal_commas, is_number, like_thousands, with_point


@pytest.mark.parametrize("text", ["3", "-3.5", "+.5", "1e3", "1.", " 2 ", "0", "-0.5"])
def test_it_knows_numbers(text: str) -> None:
    assert is_number(text)


@pytest.mark.parametrize("text", ["", "-", "007", "1_000", "1,5", "inf", "nan", "1e999", "٣", "0x1", "1 2", "."])
def test_it_knows_what_is_none(text: str) -> None:
    assert not is_number(text)


@pytest.mark.parametrize(
    ("separator", "cells", "expected"),
    [
        (";", ["1,5", "2"], True),
        (";", ["1,234"], True),
        ("\t", ["1,234", "1,5"], True),
        ("|", ["1,5E-05"], True),
        (";", ["1.5", "2"], False),
        (";", ["1,5", "x"], False),
        (",", ["1,5", "x"], False),
    ],
)
def test_it_finds_decimal_commas(separator: str, cells: list[str], expected: bool) -> None:
    assert has_decimal_commas({"area": cells}, numeric=(), separator=separator) is expected


def test_it_skips_mistakes_in_a_column_of_numbers() -> None:
    assert has_decimal_commas({"area": ["1,5", "x"]}, numeric=("area",), separator=";")


@pytest.mark.parametrize(
    ("separator", "columns", "sentence"),
    [
        (";", {"area": ["1.234,5", "2,0"]}, "1.234,5 in the column 'area' is a number with separators for thousands"),
        (";", {"area": ["12.345.678"]}, "separators for thousands"),
        ("\t", {"area": ["1,234,567.8"]}, "separators for thousands"),
        (";", {"area": ["1 234,5"]}, "separators for thousands"),
        (";", {"area": ["1,5"], "id": ["1.234"]}, "1,5 in the column 'area' has a comma, but 1.234 in the column 'id'"),
        ("\t", {"area": ["1,234", "17"]}, "may have a decimal comma, or one for thousands"),
        (",", {"area": ["1,5", "2"]}, "has a comma as decimal mark or for thousands"),
    ],
)
def test_it_refuses_numbers_that_may_mean_another(separator: str, columns: dict[str, list[str]], sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        has_decimal_commas(columns, numeric=(), separator=separator)


def test_it_leaves_the_comma_of_texts() -> None:
    assert [with_point(cell) for cell in ("1,5", " -2,0 ", "a,b", "1,2,3")] == ["1.5", " -2.0 ", "a,b", "1,2,3"]


def test_it_names_columns_that_look_like_thousands() -> None:
    assert like_thousands({"a": ["1.234", "2.000"], "b": ["1.234", "0.5"], "c": []}) == ["a"]


@pytest.mark.parametrize("text", ["1" * 131_000 + "x", "1.111" * 30_000, "1,111" * 30_000 + "x", "1 111" * 30_000])
def test_it_looks_once_at_a_long_text(text: str) -> None:
    started = time.monotonic()

    assert not is_number(text)
    assert not has_decimal_commas({"a": [text, "x,"]}, numeric=(), separator=";")
    assert time.monotonic() - started < 1
