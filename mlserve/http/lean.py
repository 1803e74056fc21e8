"""DRF views that take the short way for programs: same permissions, throttles and errors, less machinery.

Finding a renderer, looking for a session and rendering a template response cost a third of a submission. A client that
sends JSON, accepts JSON and brings no cookie needs none of that; everybody else gets DRF's own way.
"""

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mlserve.http.jsonbody import StrictJSONParser
from mlserve.http.renderers import OrjsonRenderer, dump_json
from mlserve.observability import logs

_PARSER = StrictJSONParser()
_RENDERER = OrjsonRenderer()
_ACCEPTED = frozenset({None, "*/*", OrjsonRenderer.media_type})
# What the way, and so the answer, depends on.
_VARY = "Accept, Cookie"


def is_program(meta: Mapping[str, Any]) -> bool:
    """Whether a request with this WSGI environment is none of a browser: it accepts plain JSON and has no cookie."""
    asks_for_format = "format=" in meta.get("QUERY_STRING", "")
    return not meta.get("HTTP_COOKIE") and meta.get("HTTP_ACCEPT") in _ACCEPTED and not asks_for_format


class _LeanRequest(Request):
    """DRF's request, whose only parser is JSON's."""

    @property
    def data(self) -> Any:
        if not hasattr(self, "_json"):
            media_type = self.content_type or ""
            if media_type.partition(";")[0].strip().lower() != StrictJSONParser.media_type:
                raise UnsupportedMediaType(media_type)
            self._json = _PARSER.parse(self.stream)
        return self._json


class LeanMixin(APIView):
    """For viewsets whose actions answer with `self.answer`. Stands before the viewset's own class."""

    is_lean = False
    action: str
    action_map: dict[str, str]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """1. authenticate    2. permissions, throttles    3. action    4. JSON; an error becomes a problem"""
        handler = getattr(self, (request.method or "").lower(), None)
        if handler is None or not is_program(request.META):
            return super().dispatch(request, *args, **kwargs)
        self.args, self.kwargs, self.headers, self.format_kwarg = args, kwargs, {}, None
        lean = _LeanRequest(request, parsers=(_PARSER,), authenticators=self.get_authenticators())
        # Nothing that an authenticator could look at, unless a test has said who it is.
        if "HTTP_AUTHORIZATION" not in request.META and not hasattr(request, "_force_auth_user"):
            lean.user = AnonymousUser()
        lean.accepted_renderer, lean.accepted_media_type = _RENDERER, _RENDERER.media_type
        self.request, self.is_lean = lean, True
        self.action = self.action_map.get((request.method or "").lower(), "")
        try:
            self.perform_authentication(lean)
            self.check_permissions(lean)
            self.check_throttles(lean)
            response = handler(lean, *args, **kwargs)
        except Exception as error:  # noqa: BLE001 - DRF's boundary: what it does not know, `problems` logs
            response = self.handle_exception(error)
        return _plain(response) if isinstance(response, Response) else response

    def perform_authentication(self, request: Request) -> None:
        super().perform_authentication(request)
        if request.user.is_authenticated:
            token = getattr(request.user, "token", None)
            logs.add_facts(user=request.user.pk, **({"token": token.pk} if token is not None else {}))

    def answer(self, data: Any, *, status: int = 200, headers: Mapping[str, str]) -> HttpResponseBase:
        """What an action returns: `data` as JSON at once, or through DRF's renderers."""
        if not self.is_lean:
            return Response(data, status=status, headers=dict(headers))
        every = {"Vary": _VARY, **headers}
        return HttpResponse(dump_json(data), status=status, content_type=_RENDERER.media_type, headers=every)


def _plain(response: Response) -> HttpResponse:
    """A `Response`, such as that of an error, without DRF's way of rendering one."""
    headers = {name: value for name, value in response.headers.items() if name != "Content-Type"}
    return HttpResponse(
        b"" if response.data is None else dump_json(response.data),
        status=response.status_code,
        content_type=response.content_type or _RENDERER.media_type,
        headers={"Vary": _VARY, **headers},
    )
