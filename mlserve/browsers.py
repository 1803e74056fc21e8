"""Django's middleware for browsers, which stays out of the way of programs that call the API.

Without a cookie there is no session, nobody to log in from it, no message to show and no cookie to protect; looking
for all that costs a request of the API a tenth of its time.
"""

from typing import Any

from django.contrib.auth.middleware import AuthenticationMiddleware as DjangoAuthentication
from django.contrib.messages.middleware import MessageMiddleware as DjangoMessages
from django.contrib.sessions.middleware import SessionMiddleware as DjangoSessions
from django.http import HttpRequest
from django.middleware.csrf import CsrfViewMiddleware as DjangoCsrf
from django.utils.cache import patch_vary_headers

from mlserve.lean import is_program

_API_PREFIXES = ("/api/", "/v2")


class _ForBrowsers:
    """Stands before the class of Django's; its `process_view`, where it has one, still runs."""

    def __call__(self, request: HttpRequest) -> Any:
        if request.path_info.startswith(_API_PREFIXES) and is_program(request):
            return self.get_response(request)  # type: ignore[attr-defined]
        return super().__call__(request)  # type: ignore[misc]


class SessionMiddleware(_ForBrowsers, DjangoSessions):
    """Tells caches that a cookie could have changed the answer, also of answers to programs, who have none."""

    def __call__(self, request: HttpRequest) -> Any:
        response = super().__call__(request)
        if request.path_info.startswith(_API_PREFIXES):
            patch_vary_headers(response, ("Cookie",))
        return response


class CsrfViewMiddleware(_ForBrowsers, DjangoCsrf):
    pass


class AuthenticationMiddleware(_ForBrowsers, DjangoAuthentication):
    pass


class MessageMiddleware(_ForBrowsers, DjangoMessages):
    pass
