"""Whose request it is by its network address: one answer for throttles, for locked sign-ins and for logs."""

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from django.conf import settings
from django.http import HttpRequest

# A household or a rented machine gets at least so much, and may use a new address of it for each request.
_IPV6_PREFIX = 64


def address_of(meta: Mapping[str, Any]) -> str:
    """The client's address by the WSGI environment; "" when nobody knows it, as behind a local socket.

    Each of MLSERVE_TRUSTED_PROXIES adds whom it talked to at the right end of X-Forwarded-For. What stands left of
    their entries was written by the client, and is never believed.
    """
    proxies: int = settings.MLSERVE_TRUSTED_PROXIES
    if proxies and (forwarded := meta.get("HTTP_X_FORWARDED_FOR")):
        entries = str(forwarded).split(",")
        if found := _readable(entries[-min(proxies, len(entries))].strip()):
            return found
    return _readable(str(meta.get("REMOTE_ADDR") or ""))


def client_network(request: HttpRequest) -> str | None:
    """What is counted as one client: an IPv4 address, or the first address of an IPv6 /64. None when unknown.

    django-axes' AXES_CLIENT_IP_CALLABLE.
    """
    return network_of(address_of(request.META)) or None


@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """`address` itself, or the first one of its /64; "" stays."""
    if ":" not in address:
        return address
    return str(ip_network((address, _IPV6_PREFIX), strict=False).network_address)


@lru_cache(maxsize=4096)
def _readable(text: str) -> str:
    """The address in the usual spelling without port and zone; "" when it is none."""
    for candidate in (text, text.rpartition(":")[0]):
        try:
            found: IPv4Address | IPv6Address = ip_address(candidate.strip("[]").partition("%")[0])
        except ValueError:
            continue
        mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
        return str(mapped or found)
    return ""
