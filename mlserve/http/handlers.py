"""The WSGI application as three handlers: Django's whole chain of middleware, and short ones for programs and probes.

Without a cookie there is no session, no user of a session, no message to show and no form to protect. The middleware
for these takes a tenth of the CPU time of a small request (docs/decisions/0010-short-way-for-programs.md). Probes come
from balancers, which call a machine by its address: their Host is not in ALLOWED_HOSTS, and nothing reads it.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.conf import settings
from django.core.handlers.base import BaseHandler
from django.core.handlers.exception import convert_exception_to_response
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers
from django.utils.module_loading import import_string

from mlserve.http.base_path import without_base_path
from mlserve.http.bodies import Body, Readers, has_body
from mlserve.http.browser_headers import protect
from mlserve.http.browsers import media_type_of, wants_page
from mlserve.http.compression import is_data
from mlserve.observability import logs
from mlserve.observability.counters import counters
from mlserve.observability.request_ids import HEADER, request_id_of

log = logging.getLogger("mlserve.access")

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Monitoring asks for these every few seconds, so that a line of the log is written only when the answer is bad.
_PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
_MOST_PATH, _MOST_METHOD = 300, 20


def is_program(meta: Mapping[str, Any]) -> bool:
    """Whether the request with this WSGI environment has no cookie and asks for no page, unlike those of browsers."""
    asks_for_format = "format=" in meta.get("QUERY_STRING", "")
    return not meta.get("HTTP_COOKIE") and not wants_page(meta) and not asks_for_format


class ShortChain(BaseHandler):
    """A mixin that makes a handler of Django's use the middleware of another setting than MIDDLEWARE."""

    setting = "MLSERVE_API_MIDDLEWARE"

    def load_middleware(self, is_async: bool = False) -> None:
        """As Django's, for middleware without `process_view` and `process_template_response`."""
        self._view_middleware: list[Any] = []
        self._template_response_middleware: list[Any] = []
        self._exception_middleware: list[Any] = []
        chain = convert_exception_to_response(self._get_response)  # type: ignore[attr-defined]  # not in the stubs
        for path in reversed(getattr(settings, self.setting)):
            middleware = import_string(path)(chain)
            if hasattr(middleware, "process_exception"):
                self._exception_middleware.append(middleware.process_exception)
            chain = convert_exception_to_response(middleware)
        self._middleware_chain = chain

    def get_response(self, request: HttpRequest) -> Any:
        """Adds the headers that the omitted middleware would add."""
        response = super().get_response(request)
        protect(response)
        response.headers.setdefault("X-Frame-Options", settings.X_FRAME_OPTIONS)
        if "Cookie" not in response.headers.get("Vary", ""):
            patch_vary_headers(response, ("Cookie",))  # with a cookie, the other handler answers
        if isinstance(response, HttpResponse) and not response.has_header("Content-Length"):
            response.headers["Content-Length"] = str(len(response.content))
        return response


class ProgramHandler(ShortChain, WSGIHandler):
    pass


class ProbeHandler(ShortChain, WSGIHandler):
    setting = "MLSERVE_PROBE_MIDDLEWARE"


class BrowserHandler(WSGIHandler):
    """Django's handler, which also notes for the log who was signed in, if the view used it."""

    def get_response(self, request: HttpRequest) -> Any:
        response = super().get_response(request)
        if (user := getattr(request, "_cached_user", None)) is not None and user.is_authenticated:
            logs.add_facts(user=user.pk)
        return response


class Application:
    """Gives each request an id, passes it to the handler that it needs, counts it and logs it."""

    def __init__(self) -> None:
        self._whole, self._short, self._probes = BrowserHandler(), ProgramHandler(), ProbeHandler()
        self._readers = Readers(settings.MLSERVE_WEB_THREADS)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        started, request_id = time.perf_counter(), request_id_of(environ)
        answered: list[tuple[str, list[tuple[str, str]]]] = []
        environ["PATH_INFO"] = without_base_path(environ.get("PATH_INFO", ""))

        body_in = Body(environ, self._readers) if has_body(environ) else None
        if body_in is not None:
            environ["wsgi.input"] = body_in
            _allow_chunks(environ)

        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            headers = [*headers, (HEADER, request_id)]
            if status >= "3" and body_in is not None:
                body_in.drop()
            answered.append((status, headers))
            return start_response(status, headers, *more)

        with logs.about(request_id=request_id):
            body = self._handler_of(environ)(environ, start)
            _note_down(environ, *answered[-1], seconds=time.perf_counter() - started)
        return body

    def _handler_of(self, environ: Mapping[str, Any]) -> WSGIHandler:
        if environ["PATH_INFO"] in _PROBES:
            return self._probes
        is_short = environ["PATH_INFO"].startswith(settings.MLSERVE_API_PREFIX) and is_program(environ)
        return self._short if is_short else self._whole


def _allow_chunks(environ: dict[str, Any]) -> None:
    """Give JSON and CSV in chunks a Content-Length that is beyond the limit, as far as which Django then reads them.

    Whether they are really that long is seen when they are read. Others are refused: a file that must not be read into
    memory has a limit of its own, which is compared with its length.
    """
    is_file = not media_type_of(environ) and environ["REQUEST_METHOD"] == "PUT"  # a part of an upload names no type
    if environ.get("HTTP_TRANSFER_ENCODING", "").strip().lower() == "chunked" and is_data(environ) and not is_file:
        del environ["HTTP_TRANSFER_ENCODING"]
        environ["CONTENT_LENGTH"] = str(settings.MLSERVE_MAX_BODY_BYTES + 1)


def _note_down(environ: dict[str, Any], status: str, headers: list[tuple[str, str]], *, seconds: float) -> None:
    """Count the request for /metrics and, if MLSERVE_ACCESS_LOG is set, log it without its query, which may be secret.

    A streamed answer is noted when it begins.
    """
    method = environ.get("REQUEST_METHOD", "")
    counters.count("requests", label=f"{method if method in _METHODS else 'OTHER'} {status[:3]}")
    if settings.MLSERVE_ACCESS_LOG and not (status[:3] == "200" and environ.get("PATH_INFO") in _PROBES):
        path = environ.get("PATH_INFO", "").encode("latin-1", "replace").decode("utf-8", "replace")[:_MOST_PATH]
        milliseconds = round(seconds * 1e3, 1)
        facts = {"method": method[:_MOST_METHOD], "path": path, "status": int(status[:3]), "ms": milliseconds}
        length = next((value for name, value in headers if name == "Content-Length"), "")
        if length.isdigit():
            facts["bytes"] = int(length)
        log.info("%s %s %s %.1f ms", facts["method"], path, status[:3], facts["ms"], extra={"facts": facts})
