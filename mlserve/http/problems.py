"""Errors as answers: the table of `mlserve/errors.py` as RFC 9457 problem details, or as a page."""

import contextlib
import logging
import math
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.exceptions import DisallowedHost, PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponsePermanentRedirect
from django.shortcuts import render
from django.urls import get_script_prefix, reverse
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions
from rest_framework.response import Response

from mlserve import errors
from mlserve.errors import (
    BadRequest,
    HttpsRequired,
    LengthRequired,
    MlserveError,
    NotFound,
    TooLarge,
    Unavailable,
    problem_object,
)
from mlserve.http.browser_headers import protect
from mlserve.http.browsers import wants_page
from mlserve.http.compression import require_readable_encoding
from mlserve.http.nearest_address import nearest_address
from mlserve.http.renderers import PROBLEM_MEDIA_TYPE, BrowsableRenderer, OrjsonRenderer, dump_json
from mlserve.observability.database_errors import trouble_of
from mlserve.observability.repeated_lines import log_again
from mlserve.units import size_text

log = logging.getLogger(__name__)

_LACKS_A_PERMISSION = "Your account lacks the permission for this. An administrator can give it."
# The row of the table that each of DRF's own exceptions is, by status. Their detail is kept.
_KINDS_BY_STATUS: dict[int, type[errors.MlserveError]] = {
    kind.status: kind
    for kind in (
        errors.BadRequest,
        errors.NotAuthenticated,
        errors.Forbidden,
        errors.NotFound,
        errors.MethodNotAllowed,
        errors.NotAcceptable,
        errors.UnsupportedMediaType,
        errors.TooManyRequests,
    )
}


def exception_handler(error: Exception, context: dict[str, Any]) -> Response:
    """DRF's EXCEPTION_HANDLER."""
    request = context["request"]
    body, headers = _problem_of(error, request.path)
    response = Response(_absolute(request, body), status=body["status"], headers=headers)
    renderer = getattr(request, "accepted_renderer", None)
    if renderer is None or renderer.format != BrowsableRenderer.format:
        response.content_type = PROBLEM_MEDIA_TYPE
        if renderer is not None:  # which may be one for results alone
            request.accepted_renderer = OrjsonRenderer()
    return response


@csrf_exempt
def unknown_address(request: HttpRequest, **_parts: str) -> HttpResponse:
    """The view of every address that matches no other pattern, whatever the method."""
    return problem_response(request, NotFound(f"There is nothing at {request.path}. {_where_else(request)}"))


def _where_else(request: HttpRequest) -> str:
    nearest = nearest_address(request.path_info, request.method)
    hint = f"The nearest address is {nearest}; the" if nearest else "The"
    return f"{hint} page {reverse('api-docs')} lists all."


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler400: a wrong Host header and the like."""
    return problem_response(request, exception)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler403, which also gets what middleware and upload handlers refuse."""
    return problem_response(request, exceptions.PermissionDenied(str(exception) or _LACKS_A_PERMISSION))


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Django's CSRF_FAILURE_VIEW."""
    detail = f"The form was not sent from this site, or it is too old. {reason}"
    if not wants_page(request.META):
        detail = (
            f"{request.path} is a page for browsers, whose forms carry a token (CSRF) of this site. Programs use the "
            f"API. {_where_else(request)}"
        )
    return problem_response(request, exceptions.PermissionDenied(detail))


def problem_response(request: HttpRequest, error: Exception) -> HttpResponse:
    """The answer to a request that failed outside of DRF: a page for browsers, except below the API's prefix."""
    body, headers = _problem_of(error, request.path)
    if wants_page(request.META) and not request.path_info.startswith(settings.MLSERVE_API_PREFIX):
        page = render(request, "problem.html", {"problem": body}, status=body["status"])
        for name, value in headers.items():
            page.headers[name] = value
        return page
    return _as_json(request, body, headers)


def _as_json(request: HttpRequest, body: dict[str, Any], headers: dict[str, str]) -> HttpResponse:
    return HttpResponse(
        dump_json(_absolute(request, body)), status=body["status"], content_type=PROBLEM_MEDIA_TYPE, headers=headers
    )


class ProblemMiddleware:
    """Turns each exception of a view into a problem or a page, so that no traceback reaches a caller."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        # Without a Content-Length Django reads an empty body, and would answer as if none had been sent. That of a body
        # which may come in chunks was set before (mlserve/http/handlers.py).
        if "HTTP_TRANSFER_ENCODING" in request.META:
            return problem_response(request, LengthRequired("Send the body with a Content-Length, not in chunks."))
        try:
            require_readable_encoding(request.META)
        except errors.UnsupportedEncoding as error:
            return problem_response(request, error)
        # No name or value of ours contains a NUL, and PostgreSQL raises an error when one is searched for.
        if "\0" in request.path_info or "%00" in request.META.get("QUERY_STRING", ""):
            return problem_response(request, BadRequest("The address holds a NUL character (%00). Leave it out."))
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse:
        return problem_response(request, error)


class PlainHttpMiddleware:
    """Turns a redirect of a request with a body to HTTPS into a problem: clients would follow it with a GET.

    Runs outside of Django's SecurityMiddleware, which redirects.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if not isinstance(response, HttpResponsePermanentRedirect) or request.method in ("GET", "HEAD"):
            return response
        # Without the query, which may be secret.
        where = f"Send it to {response.url.partition('?')[0]}."
        proxy = "If you did, the proxy in front has to send the header X-Forwarded-Proto: https."
        refusal = _as_json(request, *_own(HttpsRequired(f"{request.method} came over plain HTTP. {where} {proxy}")))
        protect(refusal)
        return refusal


def _problem_of(error: Exception, path: str) -> tuple[dict[str, Any], dict[str, str]]:
    """(problem object without instance, headers) of any exception; logs unexpected ones."""
    if isinstance(error, MlserveError):
        return _own(error)
    if isinstance(error, exceptions.APIException):
        return _foreign(error)
    if isinstance(error, RequestDataTooBig):
        return _own(TooLarge(f"The body is larger than {size_text(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)}."))
    if trouble := trouble_of(error):
        log_again(log, logging.ERROR, trouble.for_operators(error), about=trouble.what)
        return _own(Unavailable(trouble.for_clients()))
    if isinstance(error, Http404):
        return _own(NotFound(f"There is nothing at {path}."))
    if isinstance(error, PermissionDenied):
        return _foreign(exceptions.PermissionDenied(str(error) or _LACKS_A_PERMISSION))
    if isinstance(error, DisallowedHost):
        return _own(BadRequest("The Host header names no host of this service. Its operator adds it to ALLOWED_HOSTS."))
    if isinstance(error, SuspiciousOperation):
        return _foreign(exceptions.ParseError("The request was refused as malformed."))
    log.error("Unexpected error at %s", path, exc_info=error)
    return _own(MlserveError("An error that should not happen; it was logged. Trying again may help."))


def _own(error: MlserveError) -> tuple[dict[str, Any], dict[str, str]]:
    headers = {"Retry-After": str(error.retry_after_seconds)} if error.retry_after_seconds else {}
    if isinstance(error, errors.UnsupportedEncoding):
        headers["Accept-Encoding"] = error.accepted
    return problem_object(error), headers


def _foreign(error: exceptions.APIException) -> tuple[dict[str, Any], dict[str, str]]:
    kind = _KINDS_BY_STATUS.get(error.status_code, MlserveError)
    detail = _detail_text(error.detail)
    if kind is errors.UnsupportedMediaType:  # the usual cause is curl -d, which sends a form
        detail = f"{detail} {kind.meaning}"
    headers: dict[str, str] = {}
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if seconds := getattr(error, "wait", None):
        headers["Retry-After"] = str(math.ceil(seconds))
    return {**problem_object(kind(detail)), "status": error.status_code}, headers


def _detail_text(detail: Any) -> str:
    if isinstance(detail, dict):
        return "; ".join(f"{name}: {_detail_text(part)}" for name, part in detail.items())
    if isinstance(detail, list):
        return " ".join(map(_detail_text, detail))
    return str(detail)


def stored_problem(error: MlserveError) -> dict[str, Any]:
    """The problem object that is stored with a row, where no request gives the service's base path."""
    return problem_object(error, type_prefix=f"{settings.FORCE_SCRIPT_NAME or ''}/problems/")


def with_absolute_type(stored: dict[str, Any], origin: str) -> dict[str, Any]:
    """A stored problem object as it is answered, at `origin` (https://models.example.com)."""
    kind = str(stored.get("type", ""))
    return {**stored, "type": f"{origin}{kind}"} if kind.startswith("/") else stored


def _absolute(request: HttpRequest, body: dict[str, Any]) -> dict[str, Any]:
    kind = get_script_prefix().rstrip("/") + body["type"]
    with contextlib.suppress(
        DisallowedHost
    ):  # then the problem is about the host itself, and a relative address is valid, too
        kind = request.build_absolute_uri(kind)
    return {**body, "type": kind, "instance": request.path}
