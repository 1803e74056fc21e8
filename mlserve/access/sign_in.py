"""Locks on names whose passwords are guessed, by django-axes: the same for accounts that do not exist."""

from typing import Any

from axes.backends import AxesStandaloneBackend
from django.http import HttpRequest, HttpResponse

from mlserve.access.tokens import LOCKED_SECONDS
from mlserve.errors import TooManyRequests
from mlserve.http.problems import problem_response


class Locks(AxesStandaloneBackend):  # type: ignore[misc]  # it has no types
    """The first of AUTHENTICATION_BACKENDS: refuses a locked name before its password is looked at."""

    def authenticate(self, request: HttpRequest | None, **credentials: Any) -> None:
        """Without a request, as at a shell, there is no address to lock."""
        if request is not None:
            super().authenticate(request, **credentials)


def locked_out(request: HttpRequest, _response: Any = None, _credentials: Any = None) -> HttpResponse:
    """django-axes' AXES_LOCKOUT_CALLABLE, for the sign-in page and the admin's."""
    minutes = LOCKED_SECONDS // 60
    sentence = f"Too many wrong passwords for this name from your address. Try again in {minutes} minutes."
    return problem_response(request, TooManyRequests(sentence, retry_after_seconds=LOCKED_SECONDS))
