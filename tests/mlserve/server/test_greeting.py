import io
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from mlserve.server.greeting import Greeting, about_address
from tests.flows.service import free_port


class _Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    """Of a server that is healthy."""
    with HTTPServer(("127.0.0.1", 0), _Healthy) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_it_says_once_where_the_service_is(port: int) -> None:
    out = io.StringIO()
    greeting = Greeting("127.0.0.1", port, ["Log in as owner."], out)

    greeting()
    greeting()

    assert out.getvalue().count(f"http://127.0.0.1:{port}/api/docs") == 1
    assert "  Log in as owner.\n" in out.getvalue()


def test_it_is_silent_until_the_service_answers() -> None:
    out = io.StringIO()

    Greeting("127.0.0.1", free_port(), [], out)()

    assert out.getvalue() == ""


def test_it_gives_up_when_the_service_never_answers() -> None:
    out, seconds = io.StringIO(), iter([0.0, 59.0, 61.0])
    greeting = Greeting("127.0.0.1", free_port(), [], out, clock=lambda: next(seconds))

    for _ in range(3):
        greeting()

    assert out.getvalue() == "The web server does not answer yet.\n"


def test_it_brackets_an_address_of_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    greeting = Greeting("::1", 8000, [], out)
    monkeypatch.setattr(greeting, "_answers", lambda: True)

    greeting()

    assert "http://[::1]:8000/admin/" in out.getvalue()


class _Unread(io.StringIO):
    def flush(self) -> None:
        raise BrokenPipeError


def test_it_lets_the_service_go_on_when_its_output_is_not_read(port: int) -> None:
    greeting = Greeting("127.0.0.1", port, [], _Unread())

    greeting()
    greeting()


@pytest.mark.parametrize(
    ("host", "shown"), [("0.0.0.0", "http://127.0.0.1:8000/web/admin/"), ("::", "http://[::1]:8000/web/admin/")]
)
def test_it_names_an_address_that_can_be_called(monkeypatch: pytest.MonkeyPatch, host: str, shown: str) -> None:
    out = io.StringIO()
    greeting = Greeting(host, 8000, about_address(host), out, base_path="/web")
    monkeypatch.setattr(greeting, "_answers", lambda: True)

    greeting()

    assert shown in out.getvalue()
    assert "at all addresses of this machine" in out.getvalue()


def test_it_asks_this_machine_for_a_service_at_all_addresses(port: int) -> None:
    out = io.StringIO()

    Greeting("0.0.0.0", port, [], out)()

    assert f"http://127.0.0.1:{port}/" in out.getvalue()
