"""A client that sends its body byte by byte: others must not wait for what it has not sent yet."""

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import httpx
import pytest
from django.db import connections

from mlserve.http.handlers import Application
from predictions.serving import in_place
from registry.models import ModelVersion

pytestmark = pytest.mark.django_db(transaction=True)

HEAD = (
    b"POST /api/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Content-Length: 100000\r\nPrefer: wait=20\r\n\r\n"
)


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = False  # so that closing the server waits for their database connections


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    """Where the WSGI application listens, with a thread and a database connection for each request."""
    application = Application()

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            return list(application(environ, start_response))
        finally:
            connections.close_all()

    with make_server("127.0.0.1", 0, answer, server_class=_Server, handler_class=_Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture
def trickling(penguins: ModelVersion, port: int) -> Iterator[socket.socket]:
    """A connection over which a byte of a body comes now and then; closed, it goes on for no longer."""
    is_over = threading.Event()
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(HEAD + b"[")

        def trickle() -> None:
            while not is_over.wait(0.05):
                connection.sendall(b" ")

        thread = threading.Thread(target=trickle)
        thread.start()
        yield connection
        is_over.set()
        thread.join()


def test_it_does_not_wait_for_a_body_that_trickles(
    trickling: socket.socket,
    port: int,
    penguins: ModelVersion,
    penguin: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A call waits for those on the way to it for as long as the last one took: here, for longer than a caller does."""
    url = f"http://127.0.0.1:{port}/api/predict"
    with httpx.Client(timeout=30) as client:
        assert client.post(url, json=penguin, headers={"Prefer": "wait=20"}).status_code == 200
        line = in_place.shared_calls._lines[penguins.pk]
        monkeypatch.setattr(line, "last_call_seconds", 60.0)

        response = client.post(url, json=penguin, headers={"Prefer": "wait=5"})

    assert response.status_code == 200, response.text
