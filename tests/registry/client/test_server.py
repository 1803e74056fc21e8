"""What another server is asked, over real sockets: who learns of the account, and what is tried again."""

from collections.abc import Callable
from io import BytesIO

import pytest

from mlserve.errors import RemoteRefusal, Unavailable
from registry.client import server as remote
from registry.client.server import RemoteServer, pause_before
from tests.registry.peers import Peer, as_json


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


def test_it_names_the_host_that_took_no_part(server: RemoteServer) -> None:
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:9 did not take a part: .*refused"):
        server.put("http://127.0.0.1:9/x?signature=s", BytesIO(b"x"), size_bytes=1)
