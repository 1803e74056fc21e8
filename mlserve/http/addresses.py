"""The client of a request by its network address, the same for throttles, locked sign-ins and logs."""

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from django.conf import settings
from django.http import HttpRequest

# A household or a rented machine has at least a network of this size, and may use a new address for each request.
_IPV6_PREFIX = 64


def address_of(meta: Mapping[str, Any]) -> str:
    """The client's address by the WSGI environment; "" when it is unknown, as behind a local socket.

    Each of MLSERVE_TRUSTED_PROXIES appends the address that it was called from to X-Forwarded-For. Everything to the
    left of their entries was written by the client, and is ignored.
    """
    proxies: int = settings.MLSERVE_TRUSTED_PROXIES
    if proxies and (forwarded := meta.get("HTTP_X_FORWARDED_FOR")):
        entries = str(forwarded).split(",")
        if found := _readable(entries[-min(proxies, len(entries))].strip()):
            return found
    return _readable(str(meta.get("REMOTE_ADDR") or ""))


def client_network(request: HttpRequest) -> str | None:
    """The key of one client: an IPv4 address, or the first address of an IPv6 /64. None when unknown.

    This is django-axes' AXES_CLIENT_IP_CALLABLE.
    """
    return network_of(address_of(request.META)) or None


@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """`address` itself if it is IPv4 or empty, else the first address of its /64."""
    if ":" not in address:
        return address
    return str(ip_network((address, _IPV6_PREFIX), strict=False).network_address)


@lru_cache(maxsize=4096)
def _readable(text: str) -> str:
    """The address in its canonical form, without port and zone; "" when `text` is not an address."""
    for candidate in (text, text.rpartition(":")[0]):
        try:
            found: IPv4Address | IPv6Address = ip_address(candidate.strip("[]").partition("%")[0])
        except ValueError:
            continue
        mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
        return str(mapped or found)
    return ""
