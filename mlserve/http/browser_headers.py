"""Headers that restrict what a browser does with an answer.

Pages get their Content-Security-Policy from django-csp (settings.py). All other answers,
such as JSON, get a policy that lets them load and do nothing if a browser shows them.
"""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponseBase

CSP = "Content-Security-Policy"
_PAGE = "text/html"
_NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_EVERY = {
    # Predictions and pages of a session must not be cached; answers that may be set the header themselves.
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Features of browsers that no page of ours uses.
    "Permissions-Policy": ", ".join(
        f"{power}=()"
        for power in (
            "accelerometer", "autoplay", "camera", "display-capture", "encrypted-media", "fullscreen", "geolocation",
            "gyroscope", "hid", "magnetometer", "microphone", "midi", "payment", "publickey-credentials-get",
            "screen-wake-lock", "serial", "usb", "xr-spatial-tracking",
        )
    ),
}  # fmt: skip


class BrowserHeadersMiddleware:
    """Runs inside django-csp's middleware, which keeps a policy that is already set."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        protect(response)
        return response


def protect(response: HttpResponseBase) -> None:
    """Set each header that the answer lacks.

    Writes into the store of Django's headers, for its checks of names and values would cost many times as much.
    """
    headers: Any = response.headers
    store: dict[str, tuple[str, str]] = headers._store
    for key, header in _STORED.items():
        store.setdefault(key, header)
    if not headers.get("Content-Type", "").startswith(_PAGE):
        store.setdefault(*_NOTHING_STORED)


_STORED = {name.lower(): (name, value) for name, value in _EVERY.items()}
_NOTHING_STORED = (CSP.lower(), (CSP, _NOTHING))
