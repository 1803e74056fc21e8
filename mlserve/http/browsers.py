"""Which callers read pages: browsers, told from programs by what they send (decision 0018). Pure."""

from collections.abc import Mapping
from typing import Any

# All browsers name it beside text/html when they open an address. Programs that name text/html do not, such as Java's
# HttpURLConnection, which does so in each request.
_OF_BROWSERS = "application/xhtml+xml"
_TAKE_JSON = ("*/*", "application/*", "json")


def wants_page(meta: Mapping[str, Any]) -> bool:
    """Whether the answer to the request with this WSGI environment should be HTML where there is JSON, too.

    That is when it accepts HTML, sends no JSON, and has a cookie, or opens the address as browsers do, or takes nothing
    else.
    """
    accepted = meta.get("HTTP_ACCEPT", "").lower()
    if "text/html" not in accepted:
        return False
    has_cookie = bool(meta.get("HTTP_COOKIE"))
    if meta.get("REQUEST_METHOD") not in ("GET", "HEAD") and is_json(meta):
        # The script of the browsable API, which shows the answer in place of its page.
        return has_cookie and meta.get("HTTP_X_REQUESTED_WITH") == "XMLHttpRequest"
    return has_cookie or _OF_BROWSERS in accepted or not any(each in accepted for each in _TAKE_JSON)


def is_json(meta: Mapping[str, Any]) -> bool:
    """Whether the body is named as JSON."""
    kind = media_type_of(meta)
    return kind == "application/json" or kind.endswith("+json")


def media_type_of(meta: Mapping[str, Any]) -> str:
    """The type of the body without its parameters, in lower case; "" where none is named."""
    return str(meta.get("CONTENT_TYPE") or "").partition(";")[0].strip().lower()
