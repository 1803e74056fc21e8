"""What another server is asked, over real sockets: who learns of the account, and what is tried again."""

import socket
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mlserve.errors import RemoteRefusal, Unavailable
from registry.client.address import address_of
from registry.client.server import RemoteServer
from tests.registry.scripted_server import ScriptedServer, as_json


def test_it_asks_below_the_path_with_the_account(scripted: ScriptedServer, server: RemoteServer) -> None:
    scripted.script(as_json(200, name="x"))

    assert server.get("models", "a/b") == {"name": "x"}
    method, path, headers, _ = scripted.asked[0]
    assert (method, path, headers["Authorization"]) == ("GET", "/web/api/models/a%2Fb", "Basic c2VjcmV0")


def test_it_follows_no_redirect(
    scripted: ScriptedServer, server: RemoteServer, start_scripted: Callable[[], ScriptedServer]
) -> None:
    other = start_scripted()
    scripted.script((302, {"Location": f"{other.url}/api"}, b""))

    with pytest.raises(RemoteRefusal, match=f"redirects to {other.url}/api"):
        server.get("models")

    assert other.asked == []


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_it_tries_again_what_passes(scripted: ScriptedServer, server: RemoteServer, status: int) -> None:
    scripted.script((status, {"Retry-After": "1"}, b""), as_json(200, done=True))

    assert server.post("uploads", body={}) == {"done": True}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 500])
def test_it_tries_nothing_again_that_was_refused(scripted: ScriptedServer, server: RemoteServer, status: int) -> None:
    scripted.script(as_json(status, detail="No.", errors=[{"pointer": "#/tag", "detail": "is odd"}]))

    with pytest.raises(RemoteRefusal, match=r"No\. #/tag: is odd") as refused:
        server.get("models")

    assert refused.value.answered == status
    assert len(scripted.asked) == 1


def test_it_gives_up_after_some_attempts(scripted: ScriptedServer, server: RemoteServer) -> None:
    scripted.script(as_json(503, detail="The database is down."))

    with pytest.raises(Unavailable, match="The database is down"):
        server.get("models")

    assert len(scripted.asked) == 5


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"\xff"])
def test_it_says_that_it_is_no_api(scripted: ScriptedServer, server: RemoteServer, body: bytes) -> None:
    scripted.script((200, {}, body))

    with pytest.raises(RemoteRefusal, match="something else than the API"):
        server.get("models")


def test_it_names_the_host_that_took_no_part(server: RemoteServer) -> None:
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:9 did not take a part: .*refused"):
        server.put("http://127.0.0.1:9/x?signature=s", BytesIO(b"x"), size_bytes=1)


def test_it_asks_no_server_twice_that_it_cannot_trust(tmp_path: Path) -> None:
    accepted: list[Any] = []
    with socket.create_server(("localhost", 0)) as listening, ThreadPoolExecutor(1) as pool:
        pool.submit(_serve, listening, _context_of_self_signed(tmp_path), accepted)
        address = address_of(f"https://localhost:{listening.getsockname()[1]}")

        with pytest.raises(RemoteRefusal, match=r"cannot be trusted: .*self-signed"):
            RemoteServer(address, authorization="Bearer secret").get("models")

        listening.shutdown(socket.SHUT_RDWR)
    assert len(accepted) == 1


def _serve(listening: socket.socket, context: ssl.SSLContext, accepted: list[Any]) -> None:
    with suppress(OSError):  # at the end
        while True:
            connection, peer = listening.accept()
            accepted.append(peer)
            with suppress(ssl.SSLError), context.wrap_socket(connection, server_side=True):
                pass


def _context_of_self_signed(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(tz=UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1)).sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "both.pem").write_bytes(private + certificate.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both.pem")
    return context
