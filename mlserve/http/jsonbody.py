"""Read a request body as strict JSON (RFC 8259): UTF-8, no NaN, no repeated names, bounded size and depth."""

import math
from collections.abc import Mapping
from typing import IO, Any

import jiter
from django.conf import settings
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from mlserve.errors import NotJson, TooLarge
from mlserve.http.compression import decompressed
from mlserve.units import size_text

# Every digit as 0 and E as e, so that a plain search finds what a pattern would find ten times as slowly.
_SHAPE = bytes.maketrans(b"123456789E", b"000000000e")
_EMPTY = "The body is empty. Send one record as JSON, or a list of records."
# The most frequent messages of jiter, each with what the caller should change.
_HINTS = (
    ("Detected duplicate key", "Each name may stand once in an object."),
    ("recursion limit", "A record is flat; nothing needs that depth."),
    ("key must be a string", "Names and texts stand in double quotes."),
    ("expected value", "NaN and Infinity are not JSON (write null for a missing value), nor are single quotes."),
    ("trailing characters", "One JSON value is expected; JSON Lines are not accepted."),
)


def parse_json(body: bytes) -> Any:
    """The value of a JSON text. Raises NotJson with the position and what to do."""
    try:
        value = jiter.from_json(body, allow_inf_nan=False, catch_duplicate_keys=True, cache_mode="keys")
    except ValueError as error:
        raise NotJson(_sentence(body, str(error))) from error
    if _may_hold_infinite(body) and _has_infinite(value):
        raise NotJson("The body holds a number that is too large for a 64-bit float. Send a smaller one or null.")
    return value


def json_of(request: Request) -> Any:
    """The request's body as JSON. Raises NotJson for an empty body, of which DRF would make an empty object."""
    if request.stream is None:
        raise NotJson(_EMPTY)
    return request.data


class StrictJSONParser(BaseParser):
    """`parse_json` for DRF, with the limit of MLSERVE_MAX_BODY_BYTES before and after it is decompressed."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        return parse_json(body_of(stream, parser_context))


def body_of(stream: IO[bytes], parser_context: Mapping[str, Any] | None) -> bytes:
    """What a parser of DRF's parses. Raises TooLarge, or BadRequest for a body that cannot be decompressed."""
    limit = settings.MLSERVE_MAX_BODY_BYTES
    encoding = parser_context["request"].META.get("HTTP_CONTENT_ENCODING", "") if parser_context else ""
    try:
        return decompressed(read_limited(stream, limit), encoding, limit)
    except OverflowError as error:
        raise _too_large(limit) from error


def read_limited(stream: IO[bytes], limit: int) -> bytes:
    """All of `stream`, never more than `limit` bytes in memory. Raises TooLarge."""
    pieces, left = [], limit + 1
    while left and (piece := stream.read(left)):  # what comes in chunks may be read piece by piece
        pieces.append(piece)
        left -= len(piece)
    if not left:
        raise _too_large(limit)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(
        f"The body is larger than {size_text(limit)} (MLSERVE_MAX_BODY_BYTES). Send the rows in several requests."
    )


def _sentence(body: bytes, reason: str) -> str:
    if not body.strip():
        return _EMPTY
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"The body is not UTF-8 (byte {error.start}). JSON is always sent as UTF-8."
    if body.startswith(b"\xef\xbb\xbf"):
        return "The body starts with a byte order mark. Send UTF-8 without it."
    hint = next((hint for words, hint in _HINTS if words in reason), "")
    return f"The body is not JSON: {reason}. {hint}".rstrip()


def _may_hold_infinite(body: bytes) -> bool:
    """Whether some number could exceed 1.8e308: an exponent of three digits, or very many digits."""
    shape = body.translate(_SHAPE, b"+")
    return b"0e000" in shape or b"0" * 200 in shape


def _has_infinite(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_infinite, value.values()))
    if isinstance(value, list):
        return any(map(_has_infinite, value))
    if isinstance(value, int) and not isinstance(value, bool):
        return abs(value) > 2**1023
    return isinstance(value, float) and math.isinf(value)
