"""Whose request it is by its address, with and without proxies in front."""

from typing import Any

import pytest
from django.test import RequestFactory

from mlserve.http.addresses import address_of, client_network, network_of

FORGED = "6.6.6.6, 203.0.113.9, 10.0.0.1"


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, FORGED, "192.0.2.1"),
        (1, FORGED, "10.0.0.1"),
        (2, FORGED, "203.0.113.9"),
        (9, "203.0.113.9", "203.0.113.9"),
        (1, "", "192.0.2.1"),
        (1, "203.0.113.9:4711", "203.0.113.9"),
        (1, "[2001:db8::7]:4711", "2001:db8::7"),
        (1, "unknown", "192.0.2.1"),
        (1, "', DROP TABLE", "192.0.2.1"),
    ],
)
def test_it_believes_the_right_end_of_the_header_only(
    settings: Any, proxies: int, forwarded: str, address: str
) -> None:
    settings.MLSERVE_TRUSTED_PROXIES = proxies

    assert address_of({"REMOTE_ADDR": "192.0.2.1", "HTTP_X_FORWARDED_FOR": forwarded}) == address


@pytest.mark.parametrize("remote", ["", "unix:", "@", "localhost"])
def test_it_knows_when_there_is_no_address(remote: str) -> None:
    request = RequestFactory().get("/", REMOTE_ADDR=remote)

    assert address_of(request.META) == ""
    assert client_network(request) is None


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::", "2001:db8:1:2::"),
        ("", ""),
    ],
)
def test_it_takes_a_household_for_one_client(address: str, network: str) -> None:
    assert network_of(address) == network


def test_it_sees_through_mapped_addresses_and_zones() -> None:
    assert address_of({"REMOTE_ADDR": "::ffff:192.0.2.7"}) == "192.0.2.7"
    assert address_of({"REMOTE_ADDR": "fe80::1%eth0"}) == "fe80::1"
