"""Compressed bodies: those of requests decompressed within their limit, answers of the API compressed when asked."""

import re
import zlib
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.middleware.gzip import GZipMiddleware

from mlserve.errors import BadRequest, UnsupportedEncoding
from mlserve.http.browsers import is_json, media_type_of

_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
# `deflate` is the format of zlib; some senders leave out its head.
_WINDOWS = {"gzip": (_GZIP,), "x-gzip": (_GZIP,), "deflate": (_ZLIB, _RAW)}
_NONE = ("", "identity")
# A file of gzip may have several parts, such as one for each block. Each copies what follows it.
_MOST_PARTS = 100
# Below that, compressing takes more time than it saves.
_LEAST_ANSWER_BYTES = 4096
_REFUSES_GZIP = re.compile(r"\bgzip\s*;\s*q=0(\.0*)?\s*(,|$)", re.IGNORECASE)


class CompressedAnswers(GZipMiddleware):
    """Django's, for large answers of the API.

    Pages hold secrets beside texts of the caller, whose compressed size would tell about them (BREACH).
    """

    def process_response(self, request: HttpRequest, response: Any) -> HttpResponseBase:
        answer: HttpResponseBase = response
        is_small = not response.streaming and len(response.content) < _LEAST_ANSWER_BYTES
        if is_small or not request.path_info.startswith(settings.MLSERVE_API_PREFIX):
            return answer
        is_page = response.headers.get("Content-Type", "").startswith("text/html")
        if is_page or _REFUSES_GZIP.search(request.META.get("HTTP_ACCEPT_ENCODING", "")):
            return answer
        compressed: HttpResponseBase = super().process_response(request, response)
        return compressed


def is_data(meta: Mapping[str, Any]) -> bool:
    """Whether the body is JSON or CSV, which is read into memory as a whole; JSON where no type is named."""
    return is_json(meta) or media_type_of(meta) in ("", "text/csv")


def require_readable_encoding(meta: Mapping[str, Any]) -> None:
    """Raise UnsupportedEncoding for a body that nothing here decompresses."""
    encoding = meta.get("HTTP_CONTENT_ENCODING", "").strip().lower()
    if encoding in _NONE or (encoding in _WINDOWS and is_data(meta)):
        return
    accepted, what = "identity", "Send files and forms as they are."
    if is_data(meta):
        accepted, what = "gzip, deflate", "Send JSON and CSV as gzip or deflate, or as it is."
    raise UnsupportedEncoding(f"The body's Content-Encoding is {encoding[:100]!r}. {what}", accepted=accepted)


def decompressed(body: bytes, encoding: str, limit: int) -> bytes:
    """`body` without the Content-Encoding `encoding`, never more than `limit` bytes in memory.

    Raises OverflowError above the limit, and BadRequest for a body that is not what `encoding` says.
    """
    encoding = encoding.strip().lower()
    if encoding in _NONE or not body:
        return body
    reason = ""
    for window in _WINDOWS[encoding]:
        try:
            return _inflated(body, window, limit)
        except zlib.error as error:
            reason = reason or str(error)
    raise BadRequest(
        f"The body is not what its header Content-Encoding: {encoding} says ({reason}). Compress it anew, or send it "
        "without that header."
    )


def _inflated(body: bytes, window: int, limit: int) -> bytes:
    """Raises zlib.error, or OverflowError above the limit."""
    pieces, left = [], limit + 1
    for _ in range(_MOST_PARTS):
        inflater = zlib.decompressobj(window)
        pieces.append(inflater.decompress(body, left))
        left -= len(pieces[-1])
        if left <= 0:
            raise OverflowError
        if not inflater.eof:
            raise zlib.error("it ends too early")
        body = inflater.unused_data
        if not body:
            return b"".join(pieces)
        if window != _GZIP:
            raise zlib.error("something follows its end")
    raise zlib.error(f"it has more than {_MOST_PARTS} parts")
