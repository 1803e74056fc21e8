"""The WSGI application as two handlers: Django's whole chain of middleware, and a short one for programs.

Without a cookie there is no session, nobody to sign in from it, no message to show and no form to protect. Looking for
all that costs a small request of the API a tenth of its time, and more when it is the only one for a while.
"""

from collections.abc import Callable, Iterable
from typing import Any

from django.conf import settings
from django.core.handlers.base import BaseHandler
from django.core.handlers.exception import convert_exception_to_response
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers
from django.utils.module_loading import import_string

from mlserve.lean import is_program

_API_PREFIXES = ("/api/", "/v2")


class ShortChain(BaseHandler):
    """Django's handler with MLSERVE_API_MIDDLEWARE instead of MIDDLEWARE. Stands before the handler's own class."""

    def load_middleware(self, is_async: bool = False) -> None:
        """What Django's does, for middleware that has no `process_view` and no `process_template_response`."""
        self._view_middleware: list[Any] = []
        self._template_response_middleware: list[Any] = []
        self._exception_middleware: list[Any] = []
        chain = convert_exception_to_response(self._get_response)  # type: ignore[attr-defined]  # not in the stubs
        for path in reversed(settings.MLSERVE_API_MIDDLEWARE):
            middleware = import_string(path)(chain)
            if hasattr(middleware, "process_exception"):
                self._exception_middleware.append(middleware.process_exception)
            chain = convert_exception_to_response(middleware)
        self._middleware_chain = chain

    def get_response(self, request: HttpRequest) -> Any:
        """With the headers that the middleware left out would add."""
        response = super().get_response(request)
        response.headers.setdefault("X-Frame-Options", settings.X_FRAME_OPTIONS)
        if "Cookie" not in response.headers.get("Vary", ""):
            patch_vary_headers(response, ("Cookie",))  # with one, another handler would have answered
        if isinstance(response, HttpResponse) and not response.has_header("Content-Length"):
            response.headers["Content-Length"] = str(len(response.content))
        return response


class ProgramHandler(ShortChain, WSGIHandler):
    pass


class Application:
    """Sends each request to the handler that it needs."""

    def __init__(self) -> None:
        self._whole, self._short = WSGIHandler(), ProgramHandler()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        is_short = environ.get("PATH_INFO", "").startswith(_API_PREFIXES) and is_program(environ)
        return (self._short if is_short else self._whole)(environ, start_response)
