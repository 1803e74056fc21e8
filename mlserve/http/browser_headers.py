"""Headers that tell browsers what an answer must not be used for.

Pages get their Content-Security-Policy from django-csp (settings.py). Whatever is no page, JSON above all, may load and
do nothing at all, should a browser ever show it.
"""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponseBase

CSP = "Content-Security-Policy"
_PAGE = "text/html"
_NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_EVERY = {
    # Predictions and whatever a session shows belong in no cache; what may be cached says so itself.
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Powers that no page of ours uses.
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
    """Stands inside of django-csp's, which leaves a policy alone that is there."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        protect(response)
        return response


def protect(response: HttpResponseBase) -> None:
    """Add what the answer does not say itself.

    Past the headers' own checks of names and values, which would cost every answer many times as much.
    """
    headers: Any = response.headers
    store: dict[str, tuple[str, str]] = headers._store
    for key, header in _STORED.items():
        store.setdefault(key, header)
    if not headers.get("Content-Type", "").startswith(_PAGE):
        store.setdefault(*_NOTHING_STORED)


_STORED = {name.lower(): (name, value) for name, value in _EVERY.items()}
_NOTHING_STORED = (CSP.lower(), (CSP, _NOTHING))
