"""Addresses and accounts as people type them."""

import pytest

from registry.client.address import UnusableAddress, address_of, authorization_of


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("https://x.example/", "https://x.example"),
        (" https://x.example/web ", "https://x.example/web"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_it_reads_addresses_as_people_type_them(url: str, root: str) -> None:
    assert address_of(url).root == root


@pytest.mark.parametrize("url", ["", "x.example", "https://", "https://a b", "https://x:99999", "https://x/#a"])
def test_it_refuses_what_is_no_address(url: str) -> None:
    with pytest.raises(UnusableAddress):
        address_of(url)


@pytest.mark.parametrize(
    ("url", "is_secret"),
    [
        ("https://x.example", True),
        ("http://127.0.0.2", True),
        ("http://localhost:1", True),
        ("http://[::1]", True),
        ("http://10.0.0.1", False),
    ],
)
def test_it_knows_what_no_one_else_can_read(url: str, is_secret: bool) -> None:
    assert address_of(url).is_secret is is_secret


@pytest.mark.parametrize(
    ("token", "header"),
    [("ada:p:w", "Basic YWRhOnA6dw=="), (" t0ken\n", "Bearer t0ken"), ("zoë:ö", "Basic em/DqzrDtg==")],
)
def test_it_makes_the_header_of_a_token(token: str, header: str) -> None:
    assert authorization_of(token) == header


@pytest.mark.parametrize("token", ["", "a\r\nX: 1", "tökén"])
def test_it_refuses_tokens_that_fit_no_header(token: str) -> None:
    with pytest.raises(UnusableAddress):
        authorization_of(token)
