import socket

import pytest

from mlserve.server.webserver import PortTaken, UnknownHost, address_of, require_free_port
from tests.flows.service import free_port


def test_it_says_which_port_is_taken_and_what_to_do() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(PortTaken, match=rf"Port {port} of 127\.0\.0\.1 .* PORT={port + 1} make serve"):
            require_free_port("127.0.0.1", port)


def test_it_leaves_a_free_port_free() -> None:
    port = free_port()

    require_free_port("127.0.0.1", port)

    with socket.socket() as mine:
        mine.bind(("127.0.0.1", port))


@pytest.mark.parametrize(
    ("host", "address"),
    [("localhost", "127.0.0.1"), ("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "0.0.0.0"), ("::", "::"), ("::1", "::1")],
)
def test_it_finds_the_address_of_a_host(host: str, address: str) -> None:
    assert address_of(host) == address


@pytest.mark.parametrize("host", ["nowhere.invalid", "a..b", "x" * 300])
def test_it_says_that_a_host_is_unknown(host: str) -> None:
    with pytest.raises(UnknownHost, match="which is no address and no name that is known here; allowed is an address"):
        require_free_port(host, 8000)
