"""Other servers, as their client sees them: real sockets, and the answers that a test sets."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from urllib3 import Retry

from registry.client.uploads import RemoteUpload, _upload

Answer = tuple[int, dict[str, str], bytes]


@dataclass
class ScriptedServer:
    """A server that gives the answers that a test sets, and records its requests."""

    url: str = ""
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    answer: Callable[[str, str], Answer] = lambda method, path: (404, {}, b"{}")

    def script(self, *answers: Answer) -> None:
        """One after another, the last one for ever."""
        left = list(answers)
        self.answer = lambda method, path: left.pop(0) if len(left) > 1 else left[0]


def as_json(status: int, /, **body: Any) -> Answer:
    return status, {"Content-Type": "application/json"}, json.dumps(body).encode()


@contextmanager
def scripted_servers() -> Iterator[Callable[[], ScriptedServer]]:
    """Gives a function that starts another one; they all end with the block."""
    servers: list[ThreadingHTTPServer] = []

    def start() -> ScriptedServer:
        scripted = ScriptedServer()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def respond(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                scripted.asked.append((self.command, self.path, dict(self.headers), body))
                status, headers, content = scripted.answer(self.command, self.path)
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = respond  # noqa: N815 - http.server's names

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        server.handle_error = lambda *_: None  # type: ignore[method-assign] # a client that hangs up is meant
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        scripted.url = f"http://127.0.0.1:{server.server_port}"
        return scripted

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def without_pauses(retries: Retry) -> Retry:
    return retries.new(backoff_factor=0, backoff_jitter=0, retry_after_max=0)


def document(**changes: Any) -> dict[str, Any]:
    return {
        "upload_id": "u1", "status": "open", "size_bytes": 10, "part_bytes": 4, "part_count": 3, "parts": [],
        "progress": None, "report": None, "problem": None, **changes,
    }  # fmt: skip


def upload_of(**changes: Any) -> RemoteUpload:
    return _upload(document(**changes))
