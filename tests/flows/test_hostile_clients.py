"""Hostile and broken clients: the real service stays small, and serves others meanwhile."""

import json
import re
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlserve.http.bodies import MOST_DROPPING_SECONDS
from tests.flows.service import Service

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs 127.0.0.2 and /proc: run the suite on Linux")

PENGUIN = {
    "island": "Biscoe", "bill_length_mm": 46.1, "bill_depth_mm": 13.2, "flipper_length_mm": 211, "body_mass_g": 4500,
    "sex": "female", "year": 2007,
}  # fmt: skip
MEBIBYTE = 2**20
JSON = "application/json"


def connected(service: Service, *, by: str = "127.0.0.2") -> socket.socket:
    """Hostile clients have an address of their own."""
    return socket.create_connection(("127.0.0.1", service.port), timeout=10, source_address=(by, 0))


def head(path: str, length: int | str, *, method: str = "POST", more: str = "") -> bytes:
    return (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {JSON}\r\nContent-Length: {length}\r\n{more}\r\n"
    ).encode()


def status_of(connection: socket.socket) -> int:
    """Of the answer; 0 when the connection was closed without one."""
    answer = b""
    try:
        while b"\r\n" not in answer and (piece := connection.recv(2**16)):
            answer += piece
    except ConnectionError:
        pass
    return int(answer.split()[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def asked_raw(service: Service, request: bytes) -> int:
    with connected(service) as connection:
        connection.sendall(request)
        return status_of(connection)


def predicted(service: Service) -> None:
    """Another client asks meanwhile, and is answered rightly and soon."""
    started = time.monotonic()
    response = service.post("/api/predict", json=[PENGUIN], headers={"Prefer": "wait=10"})

    assert response.status_code == 200, response.text
    assert time.monotonic() - started < 10


def web_bytes(service: Service) -> int:
    """What the processes of the web server hold for themselves."""
    web = service.part("web")
    held = 0
    for pid in (web, *service.children(web)):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        held += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))
    return held


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of their own, so that no other test measures the memory that they make it use."""
    service = Service(tmp_path_factory.mktemp("hostile")).start()
    yield service
    service.stop()


@pytest.fixture
def served(service: Service) -> Iterator[Service]:
    """The service, which serves before and after, and has not grown by more than a few bodies in between."""
    predicted(service)
    before = web_bytes(service)
    yield service
    predicted(service)
    assert web_bytes(service) - before < 300 * MEBIBYTE


# --- Bodies --------------------------------------------------------------------------------------------------------


DEEP = b"[" * 100_000 + b"]" * 100_000
WIDE = b"[{" + b",".join(b'"k%d":1' % number for number in range(300_000)) + b"}]"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (DEEP, 400),
        (WIDE, 422),
        (b'[{"year": ' + b"9" * 1_000_000 + b"}]", 400),
        (b'[{"year": 1e999}]', 400),
        (b'[{"island": "' + b"x" * 4_000_000 + b'"}]', 422),
        (b"[" + b",".join([b"{}"] * 40_000) + b"]", 422),
        (b'[{"island": "\xff"}]', 400),
        (b'[{"island": "\\ud800"}]', 400),
        (b'{"__proto__": {}, "constructor": []}', 422),
        (b"", 400),
        (b"\x00" * 1000, 400),
        (b"[" * 4_000_000, 400),
    ],
    ids=[
        "deep", "a million keys", "number of a million digits", "infinite", "long text", "many rows", "no UTF-8",
        "half a character", "names of JavaScript's", "empty", "zeros", "never closed",
    ],
)  # fmt: skip
def test_it_refuses_a_strange_body(served: Service, body: bytes, status: int) -> None:
    started = time.monotonic()

    response = served.post("/api/predict", content=body, headers={"Content-Type": JSON})

    assert response.status_code == status, response.text[:500]
    assert response.headers["Content-Type"] == "application/problem+json"
    assert len(response.content) < 100_000
    assert time.monotonic() - started < 10


def test_it_takes_one_meaning_of_a_key_that_comes_twice(served: Service) -> None:
    """The last one, as Python and JavaScript do."""
    body = json.dumps([PENGUIN]).replace('"year": 2007', '"year": "x", "year": 2007')

    response = served.post("/api/predict", content=body, headers={"Content-Type": JSON, "Prefer": "wait=10"})

    assert response.status_code in {200, 400}, response.text


@pytest.mark.parametrize("path", ["/api/predict", "/api/models/penguins/versions", "/login", "/nothing"])
def test_it_answers_before_it_has_all_of_a_large_body(served: Service, path: str) -> None:
    """100 MB, of which it reads a part at most, and stores nothing."""
    sent = 0
    with connected(served) as connection:
        connection.sendall(head(path, 100 * MEBIBYTE))
        try:
            for _ in range(100):
                connection.sendall(bytes(MEBIBYTE))
                sent += MEBIBYTE
        except ConnectionError:
            pass
        status = status_of(connection)

    assert status in {0, 302, 400, 401, 403, 404, 405, 413, 415}, status
    assert sent <= 100 * MEBIBYTE


@pytest.mark.parametrize(
    ("path", "status"),
    [("/api/predict", 413), ("/api/models/penguins/versions", 401), ("/api/nothing", 404), ("/login", 403)],
)
def test_it_says_why_when_it_refuses_what_it_has_not_read(served: Service, path: str, status: int) -> None:
    """A proxy that still sends would see a broken connection, and answer 502 in its place."""
    response = served.post(path, content=bytes(20 * MEBIBYTE), headers={"Content-Type": JSON})

    assert response.status_code == status, response.text[:300]


def test_it_keeps_files_of_strangers_off_its_disk(served: Service) -> None:
    """A page's form with a CSRF token, as any visitor gets: Django would write the file before it knows from whom."""
    with httpx.Client(base_url=served.url, timeout=30) as client:
        page = client.get("/admin/login/").text
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        assert token
        form = {"csrfmiddlewaretoken": token[1], "username": "nobody", "password": "wrong"}
        answer = client.post("/admin/login/", data=form, files={"file": bytes(10 * MEBIBYTE)})

    assert answer.status_code == 403, answer.text[:300]


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "99999999999999999999", "5, 5", "+5"])
def test_it_refuses_a_length_that_is_none(served: Service, length: str) -> None:
    assert asked_raw(served, head("/api/predict", length) + b"[{}]x") in {0, 400, 413}


def test_it_ends_with_a_body_that_is_shorter_than_announced(served: Service) -> None:
    with connected(served) as connection:
        connection.sendall(head("/api/predict", 1000) + b"[{}")
        connection.shutdown(socket.SHUT_WR)

        assert status_of(connection) in {0, 400}


def test_it_does_not_take_the_rest_of_a_body_for_a_request(served: Service) -> None:
    """Request smuggling: two lengths, or a length and chunks."""
    hidden = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

    assert asked_raw(served, head("/api/predict", 4, more=f"Content-Length: {len(hidden)}\r\n") + hidden) in {0, 400}
    chunks = head("/api/predict", 4, more="Transfer-Encoding: chunked\r\n") + b"0\r\n\r\n" + hidden
    assert asked_raw(served, chunks) in {0, 400, 411}


@pytest.mark.parametrize("length", [1000, 10**9], ids=["little", "too much to be read"])
def test_it_does_not_take_the_rest_of_a_body_that_it_refused_for_a_request(served: Service, length: int) -> None:
    """The answer does not announce that the connection will be closed, so that a client may go on to use it."""
    hidden = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with connected(served) as connection:
        connection.sendall(head("/api/nothing", length) + (hidden * 100)[:1000])

        answers = _all_within_a_second(connection)

    assert answers.startswith(b"HTTP/1.1 404")
    assert b"HTTP/1.1 200" not in answers


def _all_within_a_second(connection: socket.socket) -> bytes:
    received, deadline = b"", time.monotonic() + 1
    with suppress(ConnectionError, TimeoutError):
        while (left := deadline - time.monotonic()) > 0:
            connection.settimeout(left)
            if not (piece := connection.recv(2**16)):
                break
            received += piece
    return received


# --- Heads and addresses -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_head", "statuses"),
    [
        (b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", {0, 400, 414, 431}),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Large: " + b"a" * 1_000_000 + b"\r\n\r\n", {0, 400, 431}),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"X-Many: 1\r\n" * 5000 + b"\r\n", {0, 400, 431}),
        (b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: a\rb: c\r\n\r\n", {0, 400}),
        (b"GET /api/models HTTP/1.1\r\nHost: evil.example/\r\n\r\n", {400}),
        (b"BREW /api/predict HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", {405}),
        (b"TRACE / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", {400, 404, 405}),
        (b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", {0, 400, 403, 404, 405}),
        (b"GET /static/../../settings.py HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", {400, 404}),
        (b"GET /static/%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", {400, 404}),
        (b"GET /api/predict/..%2f..%2fetc%2fpasswd HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", {400, 404}),
        (b"GET /%0d%0aSet-Cookie:%20a=b HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", {400, 404}),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100), {0, 400}),
        (b"GET http://169.254.169.254/latest HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", {400, 404}),
    ],
    ids=[
        "long address", "large header", "many headers", "header in a header", "foreign host", "unknown method", "TRACE",
        "CONNECT", "out of static", "out of static, quoted", "out of the API", "line break in an address", "TLS",
        "another host's address",
    ],
)  # fmt: skip
def test_it_refuses_a_strange_head(served: Service, request_head: bytes, statuses: set[int]) -> None:
    with connected(served) as connection:
        try:
            connection.sendall(request_head)
        except ConnectionError:
            return  # it was refused before it was sent
        assert status_of(connection) in statuses


def test_it_echoes_no_line_break_into_a_header(served: Service) -> None:
    response = served.get("/predict/penguins%0d%0aX-Evil:%201?next=%0d%0aX-Evil:%201")

    assert "X-Evil" not in response.headers


def test_it_answers_requests_that_come_all_at_once(served: Service) -> None:
    """Pipelined: fifty on one connection, without waiting for an answer."""
    with connected(served) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 50)
        answers = b""
        while answers.count(b"HTTP/1.1 200") < 50 and (piece := connection.recv(2**16)):
            answers += piece

    assert answers.count(b"HTTP/1.1 200") == 50


# --- Slow ones, and many -------------------------------------------------------------------------------------------


def slow_heads(service: Service) -> bytes:
    return b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "


def slow_bodies(service: Service) -> bytes:
    return head("/api/predict", 1000) + b"["


def slow_readers(service: Service) -> bytes:
    """They ask for something large, many times, and take none of it."""
    return b"GET /api/schema HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n\r\n" * 30


def idle(service: Service) -> bytes:
    return b""


@pytest.mark.parametrize("beginning", [slow_heads, slow_bodies, slow_readers, idle], ids=lambda each: each.__name__)
def test_it_serves_others_while_hundreds_are_slow(served: Service, beginning: Any) -> None:
    """As many as would hold all its threads; when they are gone, nothing of them is left."""
    with ExitStack() as stack:
        for _ in range(200):
            connection = stack.enter_context(connected(served))
            connection.sendall(beginning(served))
        time.sleep(0.5)

        predicted(served)
        assert served.get("/readyz").status_code == 200

    predicted(served)


def test_it_serves_others_while_refused_bodies_do_not_come(served: Service) -> None:
    """Also once it has waited for them: an answer that leaves a read behind stops the whole process."""
    with ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(connected(served)).sendall(head("/api/nothing", 1000) + b"[")
        time.sleep(MOST_DROPPING_SECONDS + 0.5)

        for _ in range(8):  # each web process has its turn
            assert served.get("/healthz").status_code == 200


def test_it_tells_a_client_that_sends_too_slowly_too_often(served: Service) -> None:
    """At once, with the time after which it may try again, instead of making all callers wait."""
    with ExitStack() as stack:
        slow = [stack.enter_context(connected(served)) for _ in range(200)]
        for connection in slow:
            connection.sendall(slow_bodies(served))
        refused = next(connection for connection in reversed(slow) if _answers(connection))
        answer = refused.recv(2**16).decode()

    assert answer.startswith("HTTP/1.1 429"), answer
    assert "retry-after" in answer.lower()


def _answers(connection: socket.socket) -> bool:
    connection.settimeout(1)
    try:
        return connection.recv(1, socket.MSG_PEEK) != b""
    except TimeoutError:
        return False
