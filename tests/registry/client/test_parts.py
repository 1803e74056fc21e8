"""The parts of a file on their way: to whom, with what, and once more."""

from collections.abc import Callable

import pytest

from mlserve.errors import BadUpload, RemoteRefusal
from registry.client import parts as sending
from registry.client.parts import send_parts
from registry.client.server import RemoteServer
from registry.client.uploads import Source
from tests.registry.peers import Answer, Peer, as_json, upload_of


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "pause_before", lambda attempt: 0.0)


def addresses(where: str, *numbers: int, query: str = "") -> Answer:
    parts = [{"number": number, "url": f"{where}/{number}{query}", "size_bytes": 4} for number in numbers]
    return as_json(200, parts=parts, expires_in_seconds=3600)


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
