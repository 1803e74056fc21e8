"""Clients as they come: in chunks, without a length, from another origin, with headers of their own."""

import contextlib
import gzip
import http.client
import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser import browsing, running_browser
from tests.flows.service import Service
from tests.requirements import require_program

PENGUIN = {
    "island": "Biscoe", "bill_length_mm": 46.1, "bill_depth_mm": 13.2, "flipper_length_mm": 211, "body_mass_g": 4500,
    "sex": "female", "year": 2007,
}  # fmt: skip
JSON = "application/json"
LIMIT = 5 * 2**20


def sent_in_chunks(service: Service, pieces: Iterator[bytes], **headers: str) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
    with contextlib.closing(connection):
        given = {"Content-Type": JSON, "Prefer": "wait=20", **headers}
        connection.request("POST", "/api/predict", pieces, given, encode_chunked=True)
        response = connection.getresponse()
        return response.status, json.loads(response.read())


@pytest.mark.parametrize("size", [1, 50, 10**6])
def test_it_reads_a_body_in_chunks(service: Service, size: int) -> None:
    text = json.dumps([PENGUIN] * 200).encode() if size > 1 else json.dumps(PENGUIN).encode()
    pieces = (text[start : start + size] for start in range(0, len(text), size))

    status, body = sent_in_chunks(service, pieces)

    assert status == 200, body
    assert body["result"]["predictions"][0] == "Gentoo"


def test_it_reads_compressed_chunks(service: Service) -> None:
    packed = gzip.compress(json.dumps([PENGUIN] * 5).encode())

    status, body = sent_in_chunks(service, iter([packed[:20], packed[20:]]), **{"Content-Encoding": "gzip"})

    assert (status, body["rows"]) == (200, 5)


@pytest.mark.parametrize("length", [LIMIT + 1, 4 * LIMIT])
def test_it_stops_reading_chunks_at_the_limit(service: Service, length: int) -> None:
    piece = b" " * 2**16
    pieces = (piece for _ in range(length // len(piece) + 1))

    status, body = sent_in_chunks(service, pieces)

    assert status == 413, body


def test_it_takes_chunks_up_to_the_limit(service: Service) -> None:
    text = json.dumps(PENGUIN).encode()

    status, body = sent_in_chunks(service, iter([text, b" " * (LIMIT - len(text))]))

    assert status == 200, body


def test_it_says_that_no_chunks_came(service: Service) -> None:
    status, body = sent_in_chunks(service, iter([]))

    assert (status, body["detail"]) == (400, "The body is empty. Send one record as JSON, or a list of records.")


def test_it_wants_the_length_of_files(service: Service) -> None:
    status, body = sent_in_chunks(service, iter([b"--x--"]), **{"Content-Type": "multipart/form-data; boundary=x"})

    assert status == 411, body


def test_it_reads_no_second_request_out_of_a_body_in_chunks(service: Service) -> None:
    """Both headers: chunks count, and the length is ignored (RFC 9112, 6.3)."""
    text = json.dumps(PENGUIN).encode()
    chunk = b"%x\r\n%s\r\n0\r\n\r\n" % (len(text), text)
    hidden = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    head = (
        f"POST /api/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {JSON}\r\nContent-Length: {len(text)}\r\n"
        "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
        connection.sendall(head.encode() + chunk + hidden)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while piece := connection.recv(2**16):
                answer += piece

    assert answer.count(b"HTTP/1.1 ") <= 1, answer


def test_it_serves_curl_that_reads_a_pipe(service: Service) -> None:
    curl = require_program("curl", "apt-get install curl")
    command = [
        curl, "-sS", "-m", "30", "-X", "POST", "-T", "-", "-H", f"Content-Type: {JSON}", "-H", "Prefer: wait=20",
        f"{service.url}/api/predict",
    ]  # fmt: skip
    done = subprocess.run(command, input=json.dumps(PENGUIN).encode(), capture_output=True, check=True)

    assert json.loads(done.stdout)["status"] == "succeeded"


def test_it_takes_json_without_a_type(service: Service) -> None:
    response = service.post("/api/predict", content=json.dumps(PENGUIN), headers={"Prefer": "wait=20"})

    assert response.json()["status"] == "succeeded"


@pytest.fixture(scope="module")
def other_origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The origin of a web server with one empty page."""
    folder = tmp_path_factory.mktemp("other-origin")
    (folder / "index.html").write_text("<!doctype html><title>Another site</title>")
    handler = partial(_QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


_ASK = """async ([url, options]) => {
    try {
        const response = await fetch(url, options);
        return {status: response.status, location: response.headers.get("Location"), body: await response.json()};
    } catch (error) {
        return {refused: error.name};
    }
}"""


def asked(page: Page, service: Service, headers: dict[str, str], **options: str) -> dict[str, Any]:
    """What a script of the page is told by the service."""
    request = {"method": "POST", "headers": {"Content-Type": JSON, **headers}, "body": json.dumps(PENGUIN), **options}
    answer: dict[str, Any] = page.evaluate(_ASK, [f"{service.url}/api/predict", request])
    return answer


@pytest.mark.parametrize("allowed", ["this one", "*", "another one", "none"])
def test_it_serves_pages_of_the_origins_that_are_allowed(
    tmp_path: Path, prepared: Service, other_origin: str, allowed: str
) -> None:
    origins = {"this one": other_origin, "another one": "https://app.example.com", "*": "*", "none": ""}[allowed]
    service = Service(tmp_path, like=prepared, variables={"MLSERVE_CORS_ORIGINS": origins}).start()
    try:
        with running_browser() as browser, browsing(browser) as page:
            page.goto(f"{other_origin}/index.html")
            done, accepted = asked(page, service, {"Prefer": "wait=20"}), asked(page, service, {})
            wrong_password = asked(page, service, {"Authorization": "Basic eDp5"})
            with_cookies = asked(page, service, {}, credentials="include")
    finally:
        service.stop()

    if allowed in ("this one", "*"):
        assert (done["status"], done["body"]["status"]) == (200, "succeeded")
        assert (accepted["status"], accepted["location"]) == (202, accepted["body"]["url"])
        assert (wrong_password["status"], wrong_password["body"]["status"]) == (401, 401)
        assert with_cookies == {"refused": "TypeError"}
    else:
        refused = {"refused": "TypeError"}
        assert [done, accepted, wrong_password, with_cookies] == [refused] * 4
