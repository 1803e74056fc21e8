"""Hosts, origins and addresses as operators write them, and what cannot work of it. Pure."""

import re
from urllib.parse import urlsplit

_LABEL = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_IPV6 = re.compile(r"\[[0-9a-f]*:[0-9a-f:.]+\]")
# Browsers leave these out of an Origin, so that an origin with one would never be found.
_DEFAULT_PORTS = {"http": 80, "https": 443}

HOSTS = (
    "a host name, an address, .example.com for all names below example.com, or *, without scheme, port, blank, quote "
    "and slash; several are separated by commas, IPv6 stands in brackets: models.example.com,10.0.0.7,[::1]"
)
ORIGINS = (
    "scheme, host and a port that is not the usual one, without quote, blank and slash at the end; several are "
    "separated by commas: https://models.example.com,https://*.example.org"
)

CORS_ORIGINS = (
    "* alone, or scheme, host and a port that is not the usual one, without quote, blank and slash at the end; several "
    "are separated by commas: https://app.example.com,http://localhost:3000"
)


def is_host(text: str) -> bool:
    """Whether Django can find a Host header in ALLOWED_HOSTS by `text`."""
    name = text.lower()
    return name == "*" or bool(_IPV6.fullmatch(name) or _NAME.fullmatch(name.removeprefix(".")))


def is_origin(text: str) -> bool:
    """Whether the Origin header of a browser can be equal to `text`, which may begin with `*.` after its scheme."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    scheme, host = parts.scheme, parts.netloc.lower()
    if port is not None:
        host = host.removesuffix(f":{port}")
    is_plain = text.lower() == f"{scheme}://{parts.netloc}".lower()
    is_named = bool(_IPV6.fullmatch(host) or _NAME.fullmatch(host.removeprefix("*.")))
    return is_plain and is_named and port != _DEFAULT_PORTS.get(scheme, port)


def is_exact_origin(text: str) -> bool:
    """The same without `*`."""
    return "*" not in text and is_origin(text)
