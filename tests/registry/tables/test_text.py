"""Encodings."""

import pytest

from mlserve.errors import BadUpload
from registry.tables.text import text_of

TOWN = "town\nKöln – 5 €\n"


@pytest.mark.parametrize(
    ("encoding", "notes"),
    [
        ("utf-8", []),
        ("utf-8-sig", []),
        ("utf-16", ["in UTF-16"]),
        ("utf-32", ["in UTF-32"]),
        ("cp1252", ["in Windows-1252 (it is not UTF-8)"]),
    ],
)
def test_it_reads_what_editors_and_spreadsheets_write(encoding: str, notes: list[str]) -> None:
    assert text_of(TOWN.encode(encoding), "rows.csv") == (TOWN, notes)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("Ко́шка, Кёльн\n".encode("cp1251", "ignore"), "nor Windows-1252 in a word like"),
        (b"a\n\x81\n", "neither UTF-8 nor Windows-1252 text (byte 2)"),
        ("Köln\nUlm\n".encode() + b"K\xf6ln", "is UTF-8 only up to byte 11"),
        (b"\xff\xfea\x00b", "is UTF-16 only up to byte 4"),
        ("a,b\n".encode("utf-16-le"), "NUL"),
        (b"PK\x03\x04...", "an Excel workbook. Save the rows as CSV"),
        (b"PAR1...", "a Parquet file"),
        (b"\x80\x05...", "a pickle"),
    ],
)
def test_it_refuses_what_it_would_read_wrongly(content: bytes, sentence: str) -> None:
    with pytest.raises(BadUpload) as refusal:
        text_of(content, "rows.csv")

    assert sentence in refusal.value.detail
