"""Write responses: JSON by orjson, problem details under their own media type, HTML for browsers.

And choose what a response is written as, and what a body is read as.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from django.http import HttpResponse, HttpResponseBase
from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer, BrowsableAPIRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from mlserve.errors import BadParameter
from mlserve.http.browsers import wants_page

PROBLEM_MEDIA_TYPE = "application/problem+json"


def dump_json(value: Any, *, indent: bool = False) -> bytes:
    """`value` as JSON bytes. Whole numbers beyond 64 bits, which orjson refuses, take the slower way."""
    try:
        return orjson.dumps(value, option=orjson.OPT_UTC_Z | (orjson.OPT_INDENT_2 if indent else 0))
    except orjson.JSONEncodeError:
        separators = None if indent else (",", ":")
        return json.dumps(
            value, ensure_ascii=False, allow_nan=False, separators=separators, indent=2 if indent else None
        ).encode()


class OrjsonRenderer(BaseRenderer):
    media_type = "application/json"
    format = "json"
    charset = None
    render_style = "binary"

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        return b"" if data is None else dump_json(data)


class CsvRenderer(OrjsonRenderer):
    """Of a view that writes results as CSV itself. All its other answers are JSON, such as problems."""

    media_type = "text/csv"
    format = "csv"


class _PrettyRenderer(OrjsonRenderer):
    render_style = "text"  # the browsable API shows only the size of what a binary renderer makes

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        # orjson copies fragments as they are, so that the whole is parsed again to be indented.
        return b"" if data is None else dump_json(orjson.loads(dump_json(data)), indent=True)


class BrowsableRenderer(BrowsableAPIRenderer):
    """The browsable API, with our JSON indented for reading."""

    def get_context(self, data: Any, accepted_media_type: str | None, renderer_context: Any) -> dict[str, Any]:
        """Without colours for examples in docstrings, which would need an inline style; our policy forbids these."""
        return {**super().get_context(data, accepted_media_type, renderer_context), "code_style": ""}

    def get_default_renderer(self, view: Any) -> BaseRenderer:
        return _PrettyRenderer()


_PAGE = BrowsableRenderer.format
_MOST_SHOWN = 200


class Negotiation(DefaultContentNegotiation):
    """DRF's choice of a renderer, without HTML for programs, and JSON as the body of a request that names no type."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """By the qualities of the Accept header, of which DRF reads none. Raises NotAcceptable, BadParameter."""
        first, *others = renderers
        accepted = request.META.get("HTTP_ACCEPT", "*/*")
        if format_suffix is not None or "format=" in request.META.get("QUERY_STRING", ""):
            chosen: tuple[BaseRenderer, str] = super().select_renderer(request, [first, *others], format_suffix)
            return chosen
        if accepted.strip() in ("", "*/*", first.media_type):
            return first, first.media_type
        is_page = wants_page(request.META)
        allowed = {each.media_type: each for each in (first, *others) if is_page or each.format != _PAGE}
        preferred = request._request.get_preferred_type(list(allowed))
        if preferred is None and "text/html" not in accepted.lower():  # a program that names only pages gets JSON
            raise NotAcceptable(
                f"The answer can be {', '.join(allowed)}; the header Accept is {accepted[:_MOST_SHOWN]!r}."
            )
        renderer = allowed.get(preferred or first.media_type, first)
        return renderer, renderer.media_type

    def filter_renderers(self, renderers: Iterable[BaseRenderer], format: str) -> list[BaseRenderer]:  # noqa: A002
        """Those of `?format=`. Raises BadParameter, where DRF says that the address does not exist."""
        known = [each.format for each in renderers]
        if format not in known:
            raise BadParameter(f"format is {format[:_MOST_SHOWN]!r}. Give one of {', '.join(known)}.")
        return [each for each in renderers if each.format == format]

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        if not request.content_type:
            return next((parser for parser in parsers if parser.media_type == OrjsonRenderer.media_type), None)
        chosen: BaseParser | None = super().select_parser(request, parsers)
        return chosen


def json_response(
    request: Request, data: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> HttpResponseBase:
    """`data` as JSON at once, which costs a third of DRF's template responses; for a browser one of these."""
    if request.accepted_renderer.format == BrowsableRenderer.format:
        return Response(data, status=status, headers=headers)
    return HttpResponse(dump_json(data), status=status, content_type=OrjsonRenderer.media_type, headers=headers)
