"""Sending the parts of a file: the addresses, the headers, and attempts that are repeated."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from mlserve.errors import BadUpload, RemoteRefusal
from registry.client import parts as sending
from registry.client.parts import pause_before, send_parts
from registry.client.server import RemoteServer
from registry.client.uploads import Source
from tests.registry.scripted_server import Answer, ScriptedServer, as_json, upload_of


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "pause_before", lambda attempt: 0.0)


def addresses(where: str, *numbers: int, query: str = "") -> Answer:
    parts = [{"number": number, "url": f"{where}/{number}{query}", "size_bytes": 4} for number in numbers]
    return as_json(200, parts=parts, expires_in_seconds=3600)


def test_it_keeps_the_account_from_the_storage(
    scripted: ScriptedServer, server: RemoteServer, start_scripted: Callable[[], ScriptedServer], source: Source
) -> None:
    storage = start_scripted()
    storage.script((200, {}, b""))
    scripted.script(addresses(f"{storage.url}/bucket", 1, 2, 3, query="?signature=s"))

    send_parts(server, upload_of(), source, lambda count: None)

    assert {path: body for _, path, _, body in storage.asked} == {
        "/bucket/1?signature=s": b"0123", "/bucket/2?signature=s": b"4567", "/bucket/3?signature=s": b"89",
    }  # fmt: skip
    assert not [headers for _, _, headers, _ in storage.asked if "Authorization" in headers]


def test_it_sends_to_the_server_that_it_was_told(
    scripted: ScriptedServer, server: RemoteServer, source: Source
) -> None:
    """A server behind a proxy may not know its own name."""
    scripted.answer = lambda method, path: (
        addresses("http://inner.invalid/api/uploads/u1/parts", 3) if method == "POST" else (204, {}, b"")
    )
    there = [{"number": 1}, {"number": 2}]

    send_parts(server, upload_of(parts=there), source, lambda count: None)

    method, path, headers, body = scripted.asked[-1]
    assert (method, path, body) == ("PUT", "/web/api/uploads/u1/parts/3", b"89")
    assert headers["Authorization"] == "Basic c2VjcmV0"


@pytest.mark.parametrize("status", [403, 500, 503])
def test_it_asks_for_another_address_when_one_failed(
    scripted: ScriptedServer,
    server: RemoteServer,
    start_scripted: Callable[[], ScriptedServer],
    source: Source,
    status: int,
) -> None:
    storage = start_scripted()
    counted: list[int] = []
    storage.script((status, {}, b"<Error/>"), (200, {}, b""))
    scripted.script(addresses(storage.url, 1, query="?old"), addresses(storage.url, 1, query="?new"))

    send_parts(server, upload_of(size_bytes=4, part_count=1), source, counted.append)

    assert [path for _, path, _, _ in storage.asked] == ["/1?old", "/1?new"]
    assert sum(counted) == 4


def test_it_gives_up_when_the_storage_knows_no_such_upload(
    scripted: ScriptedServer, server: RemoteServer, start_scripted: Callable[[], ScriptedServer], source: Source
) -> None:
    storage = start_scripted()
    scripted.script(addresses(storage.url, 1, 2, 3, query="?secret"))

    with pytest.raises(RemoteRefusal) as refused:
        send_parts(server, upload_of(), source, lambda count: None)

    assert refused.value.answered == 404
    assert "secret" not in refused.value.detail


def test_it_sends_no_file_that_became_shorter(scripted: ScriptedServer, server: RemoteServer, source: Source) -> None:
    scripted.answer = lambda method, path: (
        addresses(f"{scripted.url}/p", 1, 2, 3) if method == "POST" else (204, {}, b"")
    )
    source.path.write_bytes(b"0123")

    with pytest.raises(BadUpload, match="became shorter"):
        send_parts(server, upload_of(), source, lambda count: None)


def test_it_stops_at_once_on_ctrl_c(scripted: ScriptedServer, source: Source) -> None:
    """Although a storage that takes the bytes and gives no answer is waited for, for a minute."""
    with socket.create_server(("127.0.0.1", 0)) as storage:
        scripted.script(addresses(f"http://127.0.0.1:{storage.getsockname()[1]}", 1, 2, 3))
        command = [sys.executable, "-c", _SEND, scripted.url, str(source.path)]
        with subprocess.Popen(command) as sender:
            connection, _ = storage.accept()
            began = time.monotonic()
            sender.send_signal(signal.SIGINT)
            status = sender.wait()
            connection.close()

    assert status == 130
    assert time.monotonic() - began < 20


_SEND = """
import sys
from pathlib import Path
from registry.client.server import RemoteServer
from registry.client.address import address_of
from registry.client.uploads import hashed
from registry.client.parts import send_parts
from tests.registry.scripted_server import upload_of

source = hashed(Path(sys.argv[2]), lambda count: None)
try:
    send_parts(RemoteServer(address_of(sys.argv[1]), authorization="x"), upload_of(), source, lambda count: None)
except KeyboardInterrupt:
    sys.exit(130)
"""


def test_it_pauses_longer_each_time_up_to_a_limit() -> None:
    assert all(0.25 <= pause_before(1) <= 0.5 for _ in range(20))
    assert all(7.5 <= pause_before(30) <= 15 for _ in range(20))
