"""The text of a file in the encodings that editors and spreadsheets write. Pure.

There are four, tried in an order that cannot confuse them. Libraries that guess among all encodings take a short file
with two umlauts for Turkish or Vietnamese.
"""

import codecs
import re

from mlserve.errors import BadUpload

# UTF-32 before UTF-16, whose mark it begins with.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Files without rows of text that people give instead, by their first bytes.
_OTHERS = (
    (b"PK\x03\x04", "a zip archive or an Excel workbook"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"PAR1", "a Parquet file"),
    (b"ARROW1", "a Feather file"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x80\x04", "a pickle"),
    (b"\x80\x05", "a pickle"),
)

# No Western language has so many accents in a row; Cyrillic, Greek or Japanese in an encoding of its own has.
_OTHER_ALPHABET = re.compile(r"[^\x00-\x7f]{4}")


def text_of(content: bytes, name: str) -> tuple[str, list[str]]:
    """The text, and what to say about its encoding: nothing for UTF-8. Raises BadUpload."""
    for beginning, kind in _OTHERS:
        if content.startswith(beginning):
            raise BadUpload(f"{name} is {kind}. Save the rows as CSV (UTF-8) or JSON.")
    mark, encoding = next(((mark, each) for mark, each in _MARKS if content.startswith(mark)), (b"", "utf-8"))
    notes = [f"in {encoding.upper()}"] if mark and mark != codecs.BOM_UTF8 else []
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        # What is not ASCII, but right as UTF-8, is so by no accident.
        if mark or not content[: error.start].isascii():
            raise BadUpload(f"{name} is {encoding.upper()} only up to byte {error.start}. Save it anew.") from error
        text, notes = _windows_text(content, name), ["in Windows-1252 (it is not UTF-8)"]
    if "\x00" in text:
        raise BadUpload(f"{name} holds the character NUL. Save it as UTF-8 text.")
    return text, notes


def _windows_text(content: bytes, name: str) -> str:
    """What Excel writes in Western Europe and the Americas: Latin-1 and some more characters."""
    try:
        text = content.decode("cp1252")
    except UnicodeDecodeError as error:
        raise BadUpload(
            f"{name} is neither UTF-8 nor Windows-1252 text (byte {error.start}). Save it as UTF-8."
        ) from error
    if foreign := _OTHER_ALPHABET.search(text):
        raise BadUpload(f"{name} is not UTF-8, nor Windows-1252 in a word like {foreign[0]!r}. Save it as UTF-8.")
    return text
