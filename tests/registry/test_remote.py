"""What another server is asked, over real sockets: who learns of the account, and what is tried again."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from mlserve.errors import BadUpload, MlserveError, RemoteRefusal, Unavailable
from registry import remote, remote_uploads, sending
from registry.remembered import RememberedUploads
from registry.remote import RemoteServer, pause_before
from registry.remote_address import UnusableAddress, address_of, authorization_of
from registry.remote_uploads import RemoteUpload, Source, followed, hashed, opened
from registry.sending import send_parts

Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Peer:
    """A server that answers what a test says, and knows what it was asked."""

    url: str = ""
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    answer: Callable[[str, str], Answer] = lambda method, path: (404, {}, b"{}")

    def script(self, *answers: Answer) -> None:
        """One after another, the last one for ever."""
        left = list(answers)
        self.answer = lambda method, path: left.pop(0) if len(left) > 1 else left[0]


def as_json(status: int, /, **body: Any) -> Answer:
    return status, {"Content-Type": "application/json"}, json.dumps(body).encode()


@pytest.fixture
def start_peer() -> Iterator[Callable[[], Peer]]:
    servers: list[ThreadingHTTPServer] = []

    def start() -> Peer:
        peer = Peer()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def respond(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                peer.asked.append((self.command, self.path, dict(self.headers), body))
                status, headers, content = peer.answer(self.command, self.path)
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
        peer.url = f"http://127.0.0.1:{server.server_port}"
        return peer

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def peer(start_peer: Callable[[], Peer]) -> Peer:
    return start_peer()


@pytest.fixture
def server(peer: Peer) -> Iterator[RemoteServer]:
    made = RemoteServer(address_of(f"{peer.url}/web/"), authorization="Basic c2VjcmV0", pause=lambda seconds: None)
    yield made
    made.close()


@pytest.fixture
def source(tmp_path: Path) -> Source:
    path = tmp_path / "model.pkl"
    path.write_bytes(b"0123456789")
    return hashed(path, lambda count: None)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "pause_before", lambda attempt: 0.0)


def document(**changes: Any) -> dict[str, Any]:
    return {
        "upload_id": "u1", "status": "open", "size_bytes": 10, "part_bytes": 4, "part_count": 3, "parts": [],
        "progress": None, "report": None, "problem": None, **changes,
    }  # fmt: skip


def upload_of(**changes: Any) -> RemoteUpload:
    return remote_uploads._upload(document(**changes))


def addresses(where: str, *numbers: int, query: str = "") -> Answer:
    parts = [{"number": number, "url": f"{where}/{number}{query}", "size_bytes": 4} for number in numbers]
    return as_json(200, parts=parts, expires_in_seconds=3600)


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
    ("url", "is_loopback"),
    [("http://127.0.0.2", True), ("http://localhost:1", True), ("http://[::1]", True), ("http://10.0.0.1", False)],
)
def test_it_knows_what_stays_on_this_machine(url: str, is_loopback: bool) -> None:
    assert address_of(url).is_loopback is is_loopback


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


def test_it_asks_below_the_path_with_the_account(peer: Peer, server: RemoteServer) -> None:
    peer.script(as_json(200, name="x"))

    assert server.get("models", "a/b") == {"name": "x"}
    method, path, headers, _ = peer.asked[0]
    assert (method, path, headers["Authorization"]) == ("GET", "/web/api/models/a%2Fb", "Basic c2VjcmV0")


def test_it_follows_no_redirect(peer: Peer, server: RemoteServer, start_peer: Callable[[], Peer]) -> None:
    other = start_peer()
    peer.script((302, {"Location": f"{other.url}/api"}, b""))

    with pytest.raises(RemoteRefusal, match=f"redirects to {other.url}/api"):
        server.get("models")

    assert other.asked == []


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_it_tries_again_what_passes(peer: Peer, server: RemoteServer, status: int) -> None:
    peer.script((status, {"Retry-After": "1"}, b""), as_json(200, done=True))

    assert server.post("uploads", body={}) == {"done": True}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 500])
def test_it_tries_nothing_again_that_was_refused(peer: Peer, server: RemoteServer, status: int) -> None:
    peer.script(as_json(status, detail="No.", errors=[{"pointer": "#/tag", "detail": "is odd"}]))

    with pytest.raises(RemoteRefusal, match=r"No\. #/tag: is odd") as refused:
        server.get("models")

    assert refused.value.answered == status
    assert len(peer.asked) == 1


def test_it_gives_up_after_some_attempts(peer: Peer, server: RemoteServer) -> None:
    peer.script(as_json(503, detail="The database is away."))

    with pytest.raises(Unavailable, match="The database is away"):
        server.get("models")

    assert len(peer.asked) == remote._ATTEMPTS


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"\xff"])
def test_it_says_that_it_is_no_api(peer: Peer, server: RemoteServer, body: bytes) -> None:
    peer.script((200, {}, body))

    with pytest.raises(RemoteRefusal, match="something else than the API"):
        server.get("models")


def test_it_pauses_longer_each_time_up_to_a_limit() -> None:
    assert all(0.25 <= pause_before(1) <= 0.5 for _ in range(20))
    assert all(7.5 <= pause_before(30) <= 15 for _ in range(20))


def test_it_keeps_the_account_from_the_storage(
    peer: Peer, server: RemoteServer, start_peer: Callable[[], Peer], source: Source
) -> None:
    storage = start_peer()
    storage.script((200, {}, b""))
    peer.script(addresses(f"{storage.url}/bucket", 1, 2, 3, query="?signature=s"))

    send_parts(server, upload_of(), source, lambda count: None)

    assert {path: body for _, path, _, body in storage.asked} == {
        "/bucket/1?signature=s": b"0123", "/bucket/2?signature=s": b"4567", "/bucket/3?signature=s": b"89",
    }  # fmt: skip
    assert not [headers for _, _, headers, _ in storage.asked if "Authorization" in headers]


def test_it_sends_to_the_server_that_it_was_told(peer: Peer, server: RemoteServer, source: Source) -> None:
    """A server behind a proxy may not know its own name."""
    peer.answer = lambda method, path: (
        addresses("http://inner.invalid/api/uploads/u1/parts", 3) if method == "POST" else (204, {}, b"")
    )
    there = [{"number": 1}, {"number": 2}]

    send_parts(server, upload_of(parts=there), source, lambda count: None)

    method, path, headers, body = peer.asked[-1]
    assert (method, path, body) == ("PUT", "/web/api/uploads/u1/parts/3", b"89")
    assert headers["Authorization"] == "Basic c2VjcmV0"


@pytest.mark.parametrize("status", [403, 500, 503])
def test_it_asks_for_another_address_when_one_failed(
    peer: Peer, server: RemoteServer, start_peer: Callable[[], Peer], source: Source, status: int
) -> None:
    storage = start_peer()
    counted: list[int] = []
    storage.script((status, {}, b"<Error/>"), (200, {}, b""))
    peer.script(addresses(storage.url, 1, query="?old"), addresses(storage.url, 1, query="?new"))

    send_parts(server, upload_of(size_bytes=4, part_count=1), source, counted.append)

    assert [path for _, path, _, _ in storage.asked] == ["/1?old", "/1?new"]
    assert sum(counted) == 4


def test_it_gives_up_when_the_storage_knows_no_such_upload(
    peer: Peer, server: RemoteServer, start_peer: Callable[[], Peer], source: Source
) -> None:
    storage = start_peer()
    peer.script(addresses(storage.url, 1, 2, 3, query="?secret"))

    with pytest.raises(RemoteRefusal) as refused:
        send_parts(server, upload_of(), source, lambda count: None)

    assert refused.value.answered == 404
    assert "secret" not in refused.value.detail


def test_it_sends_no_file_that_became_shorter(peer: Peer, server: RemoteServer, source: Source) -> None:
    peer.answer = lambda method, path: addresses(f"{peer.url}/p", 1, 2, 3) if method == "POST" else (204, {}, b"")
    source.path.write_bytes(b"0123")

    with pytest.raises(BadUpload, match="became shorter"):
        send_parts(server, upload_of(), source, lambda count: None)


def test_it_reads_a_file_once_for_its_digest(source: Source) -> None:
    assert source.size_bytes == 10
    assert source.sha256.startswith("84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882")


@pytest.mark.parametrize("changes", [{"part_bytes": 0}, {"part_count": 99}, {"size_bytes": "many"}, {"parts": [1]}])
def test_it_trusts_no_strange_description(peer: Peer, server: RemoteServer, changes: dict[str, Any]) -> None:
    peer.script(as_json(200, **document(**changes)))

    with pytest.raises(RemoteRefusal, match="does not know"):
        remote_uploads.looked_up(server, "u1")


def test_it_goes_on_to_look_while_the_server_is_away(peer: Peer, server: RemoteServer) -> None:
    peer.script(*[(503, {}, b"")] * 7, as_json(200, **document(status="published")))

    ended = followed(server, upload_of(status="queued"), lambda seen: None, pause=lambda seconds: None)

    assert ended.status == "published"


@pytest.mark.parametrize(("name", "sentence"), [("_STILL_SECONDS", "Is a worker running"), ("_AWAY_SECONDS", "away")])
def test_it_does_not_look_for_ever(
    peer: Peer, server: RemoteServer, monkeypatch: pytest.MonkeyPatch, name: str, sentence: str
) -> None:
    monkeypatch.setattr(remote_uploads, name, 0)
    queued = as_json(200, **document(status="queued"))
    peer.script(queued if name == "_STILL_SECONDS" else as_json(503, detail="away"))

    with pytest.raises(Unavailable, match=sentence):
        followed(server, upload_of(status="queued"), lambda seen: None, pause=lambda seconds: None)


def test_it_forgets_an_upload_that_the_server_does_not_know(
    peer: Peer, server: RemoteServer, source: Source, tmp_path: Path
) -> None:
    remembered = RememberedUploads(tmp_path / "cache")
    remembered.remember(server.url, source.sha256, "gone")
    peer.answer = lambda method, path: as_json(404) if method == "GET" else as_json(201, **document())

    assert opened(server, source, remembered).upload_id == "u1"
    assert remembered.recall(server.url, source.sha256) == "u1"


def test_it_needs_no_place_to_remember(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    remembered = RememberedUploads(tmp_path / "file" / "below")

    remembered.remember("https://x", "ab", "u1")
    remembered.forget("https://x", "ab")

    assert remembered.recall("https://x", "ab") is None


def test_it_says_that_the_file_is_gone(tmp_path: Path) -> None:
    with pytest.raises(MlserveError, match="cannot be read"):
        hashed(tmp_path / "nothing", lambda count: None)


def test_it_names_the_host_that_took_no_part(server: RemoteServer) -> None:
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:9 did not take a part: .*refused"):
        server.put("http://127.0.0.1:9/x?signature=s", BytesIO(b"x"), size_bytes=1)
