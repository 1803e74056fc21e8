import socket

import pytest

from mlserve.server.webserver import PortTaken, require_free_port
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
