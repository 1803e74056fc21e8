"""Where another server is, and whose account is used there. Pure."""

import base64
import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

Origin = tuple[str, str, int]


class UnusableAddress(ValueError):
    """An address or a token that no request can be made with; the sentence says why."""


@dataclass(frozen=True)
class Address:
    """Where a server is: `root` without a slash at its end; `is_secret`: no one else can read what is sent."""

    root: str
    is_secret: bool


def address_of(url: str) -> Address:
    """Read an address as people type it, with a path before the API or without. Raises UnusableAddress."""
    parts = urlsplit(url.strip()) if (origin := origin_of(url.strip())) else None
    if parts is None or origin is None or re.search(r"\s", url.strip()):
        raise UnusableAddress(f"{url!r} is not an address: give one as https://mlserve.example.com.")
    if parts.username is not None or parts.password is not None:
        raise UnusableAddress("The address holds an account. Put it into MLSERVE_TOKEN instead.")
    if parts.query or parts.fragment:
        raise UnusableAddress(f"{url!r} has more than a path: give it without '?' and '#'.")
    root = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
    return Address(root, parts.scheme == "https" or is_loopback(origin[1]))


def authorization_of(token: str) -> str:
    """The header's value: HTTP Basic for `name:password`, else a bearer token. Raises UnusableAddress."""
    token = token.strip()
    if not token or not token.isprintable():
        raise UnusableAddress("MLSERVE_TOKEN is empty or holds what no header can: set it to an API token.")
    if ":" in token:
        return f"Basic {base64.b64encode(token.encode()).decode()}"
    if not token.isascii():
        raise UnusableAddress("MLSERVE_TOKEN holds letters that no API token has: copy it again.")
    return f"Bearer {token}"


def origin_of(url: str) -> Origin | None:
    """Scheme, host and port of a web address; None for anything else."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return None
    return (parts.scheme, parts.hostname, port) if parts.scheme in ("http", "https") and parts.hostname else None


def host_of(url: str) -> str:
    """Without the query, which opens a pre-signed address to anyone who reads it."""
    return urlsplit(url).netloc


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
