"""What lies between us and a server: it forwards requests, and does to them what a test tells it to do."""

import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Asked:
    """One request: its method, its path with the query, and its `Range`."""

    method: str
    path: str
    range: str | None = None


@dataclass
class Interference:
    """`before` sees each request before the server does, and may answer itself: a status, and a code of S3's.

    `cut_after` bytes of a GET's body the connection breaks, as often as `cuts` says.
    """

    endpoint_url: str = ""
    before: Callable[[Asked], tuple[int, str] | None] = lambda _asked: None
    cuts: int = 0
    cut_after: int = 0
    asked: list[Asked] = field(default_factory=list)

    def count(self, method: str) -> int:
        return sum(each.method == method for each in self.asked)


@contextmanager
def between(server_url: str) -> Iterator[Interference]:
    interference = Interference()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Forwarder, server_url, interference))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    interference.endpoint_url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield interference
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


class _Forwarder(BaseHTTPRequestHandler):
    def __init__(self, server_url: str, interference: Interference, *of_the_server: Any) -> None:
        self._server_url, self._interference = server_url, interference
        super().__init__(*of_the_server)

    def _do(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = Asked(self.command, self.path, self.headers.get("Range"))
        self._interference.asked.append(asked)
        if refused := self._interference.before(asked):
            self._refuse(*refused)
        else:
            self._forward(body)
        self.close_connection = True

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _do  # noqa: N815 - the names that http.server looks for

    def _refuse(self, status: int, code: str) -> None:
        body = f"<Error><Code>{code}</Code><Message>told to</Message></Error>".encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _forward(self, body: bytes) -> None:
        connection = http.client.HTTPConnection(urlsplit(self._server_url).netloc, timeout=30)
        connection.request(self.command, self.path, body, dict(self.headers))
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"connection", "transfer-encoding", "date", "server"}:
                self.send_header(name, value)
        self.end_headers()
        if self.command == "GET" and answer.status < 300 and self._interference.cuts:
            self._interference.cuts -= 1
            self.wfile.write(content[: self._interference.cut_after])
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
        elif self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_args: object) -> None:
        pass
