"""Where another server is, and who asks there. Pure."""

import base64
import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from mlserve.errors import RemoteRefusal

Origin = tuple[str, str, int]


class UnusableAddress(ValueError):
    """An address or a token that no request can be made with; the sentence says why."""


@dataclass(frozen=True)
class Address:
    """Where a server is: `root` without a slash at its end."""

    root: str
    origin: Origin
    is_encrypted: bool
    is_loopback: bool


def address_of(url: str) -> Address:
    """Read an address as people type it, with a path before the API or without. Raises UnusableAddress."""
    try:
        parts = urlsplit(url.strip())
        origin = _origin(parts)
    except ValueError as error:
        raise UnusableAddress(f"{url!r} is not an address: {error}.") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"\s", url.strip()):
        raise UnusableAddress(f"{url!r} is not an address: give one as https://mlserve.example.com.")
    if parts.username is not None or parts.password is not None:
        raise UnusableAddress("The address holds an account. Put it into MLSERVE_TOKEN instead.")
    if parts.query or parts.fragment:
        raise UnusableAddress(f"{url!r} has more than a path: give it without '?' and '#'.")
    root = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
    return Address(root, origin, parts.scheme == "https", _is_loopback(parts.hostname))


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


def storage_address(url: str) -> Address:
    """The place of an address that a server gave for a part. Raises RemoteRefusal for one that is none."""
    try:
        parts = urlsplit(url)
        origin = _origin(parts)
    except ValueError:
        parts, origin = urlsplit(""), ("", "", 0)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise RemoteRefusal("The server gave an address for a part that is none.")
    return Address(url, origin, parts.scheme == "https", _is_loopback(parts.hostname))


def is_of_origin(url: str, origin: Origin) -> bool:
    try:
        return _origin(urlsplit(url)) == origin
    except ValueError:
        return False


def host_of(url: str) -> str:
    """Without the query, which opens a pre-signed address to whoever reads it."""
    return urlsplit(url).netloc


def _origin(parts: SplitResult) -> Origin:
    return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
