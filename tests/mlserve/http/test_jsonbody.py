import io
from typing import Any

import pytest

from mlserve.errors import NotJson, TooLarge
from mlserve.http.jsonbody import parse_json, read_limited

BOM = b"\xef\xbb\xbf"


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"age": 39, "city": "Z\xc3\xbcrich", "sex": null}', {"age": 39, "city": "Zürich", "sex": None}),
        (b' [true, 1.5e3, "\\u00e9"] ', [True, 1500.0, "é"]),
        (b"1e99", 1e99),
        (b"1.7976931348623157e308", 1.7976931348623157e308),
        (b"9223372036854775808", 2**63),
        (b"1" * 300, int("1" * 300)),
        (b"0." + b"0" * 310 + b"1", 1e-311),
    ],
    ids=["object", "list", "large", "largest float", "beyond int64", "300 digits", "tiny"],
)
def test_it_reads_json(body: bytes, value: Any) -> None:
    assert parse_json(body) == value


@pytest.mark.parametrize("name", [b"NaN", b"Infinity", b"-Infinity"])
def test_it_refuses_constants_that_are_not_json(name: bytes) -> None:
    with pytest.raises(NotJson):
        parse_json(b'{"age": %s}' % name)


@pytest.mark.parametrize(
    "number",
    [
        b"1e999",
        b"-1e999",
        b"1E+400",
        b"1e00999",
        b"1" * 400,
        b"-" + b"9" * 309,
        b"1" * 5000,
        b"1" * 308 + b"e5",
        b"9" * 250 + b"e90",
        b"9" * 220 + b".5e+99",
    ],
    ids=lambda number: f"{number[:6].decode()}…{number[-5:].decode()} ({len(number)})",
)
@pytest.mark.parametrize("body", [b"%s", b'{"age": %s}', b'[{"age": null}, {"age": [%s]}]'])
def test_it_refuses_a_number_beyond_float64(body: bytes, number: bytes) -> None:
    with pytest.raises(NotJson):
        parse_json(body % number)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "The body is empty"),
        (b" \n", "The body is empty"),
        (b'{"age": "\xff"}', "not UTF-8 (byte 9)"),
        ('{"age": 1}'.encode("utf-16"), "not UTF-8"),
        (BOM + b"{}", "byte order mark"),
        (b'{"age": 1, "age": 2}', 'duplicate key "age"'),
        (b'{"\\u0061ge": 1, "age": 2}', "Each name may stand once"),
        (b'{"age": 1} x', "One JSON value is expected"),
        (b'{"age": 1}\n{"age": 2}', "JSON Lines are not accepted"),
        (b"{'age': 1}", "double quotes"),
        (b'{"age": NaN}', "write null for a missing value"),
        (b"[" * 300 + b"]" * 300, "A record is flat"),
        (b'{"age": 1,}', "trailing comma"),
        (b'{"age": 01}', "line 1 column"),
        (b'"\\ud800"', "line 1 column"),
        (b'"\x01"', "control character"),
    ],
    ids=[
        "empty", "blank", "latin", "utf-16", "bom", "repeated", "repeated by escape", "garbage", "json lines",
        "single quotes", "nan", "depth", "comma", "leading zero", "surrogate", "control",
    ],
)  # fmt: skip
def test_it_says_what_is_wrong_with_the_body(body: bytes, sentence: str) -> None:
    with pytest.raises(NotJson) as refusal:
        parse_json(body)

    assert sentence in refusal.value.detail


def test_it_reads_up_to_the_limit() -> None:
    assert read_limited(io.BytesIO(b"12345"), 5) == b"12345"


def test_it_refuses_one_byte_more_than_the_limit() -> None:
    with pytest.raises(TooLarge, match="MLSERVE_MAX_BODY_BYTES"):
        read_limited(io.BytesIO(b"123456"), 5)
