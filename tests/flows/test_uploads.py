"""An upload in parts to a real service, into which faults are injected meanwhile."""

import contextlib
import hashlib
import os
import pickle
import re
import signal
import socket
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import joblib
import numpy as np
import pytest

from tests import pipelines
from tests.flows.service import Service, command_of

ACCOUNT = ("uploader", "uploader-password")
MEBIBYTE = 2**20


@pytest.fixture
def client(own_service: Service) -> Iterator[httpx.Client]:
    """A client that may upload to a running service."""
    own_service.environment |= {
        "DJANGO_SUPERUSER_USERNAME": ACCOUNT[0],
        "DJANGO_SUPERUSER_PASSWORD": ACCOUNT[1],
        "DJANGO_SUPERUSER_EMAIL": "uploader@example.org",
    }
    own_service.manage("createsuperuser", "--noinput")
    own_service.start("--workers", "2")
    with httpx.Client(base_url=f"{own_service.url}/api", auth=ACCOUNT, timeout=60) as client:
        yield client


def opened(client: httpx.Client, content: bytes) -> dict[str, Any]:
    response = client.post("/uploads", json={"size_bytes": len(content), "file_name": "model.pkl"})
    assert response.status_code == 201, response.text
    body: dict[str, Any] = response.json()
    return body


def send(client: httpx.Client, upload: dict[str, Any], content: bytes, numbers: list[int]) -> None:
    for part in client.post(f"{upload['url']}/parts", json={"numbers": numbers}).json()["parts"]:
        start = (part["number"] - 1) * upload["part_bytes"]
        response = client.put(part["url"], content=content[start : start + part["size_bytes"]])
        assert response.status_code == 204, response.text


def submit(
    client: httpx.Client, upload: dict[str, Any], content: bytes, tag: str, *, schema: bytes | None = None
) -> None:
    form = {"upload": upload["upload_id"], "sha256": hashlib.sha256(content).hexdigest(), "tag": tag}
    # DRF reads a form with files only; an empty one is none.
    files = {"schema": ("validation.py", schema or (pipelines.EXAMPLE / "validation.py").read_bytes())}
    response = client.post("/models/penguins/versions", data=form, files=files)
    assert response.status_code == 202, response.text


def wait_for_end(service: Service, client: httpx.Client, upload: dict[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = {}

    def has_ended() -> bool:
        body.update(client.get(upload["url"]).json())
        return body["status"] not in ("queued", "inspecting")

    service.wait_for(has_ended, "the end of the inspection", seconds=120)
    return body


def grown(artifact: Path) -> bytes:
    """The same pipeline in a file of three parts."""
    pipeline = joblib.load(artifact)
    pipeline.padding_ = np.zeros(20 * MEBIBYTE, np.uint8)
    return pickle.dumps(pipeline)


def break_off(service: Service, upload: dict[str, Any]) -> None:
    """Begin to send the first part, and disconnect in the midst of it."""
    credentials = b64encode(":".join(ACCOUNT).encode()).decode()
    head = (
        f"PUT /api/uploads/{upload['upload_id']}/parts/1 HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Basic {credentials}\r\nContent-Length: {upload['part_bytes']}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(head.encode() + bytes(MEBIBYTE))


def test_it_goes_on_with_an_upload_after_both_sides_were_cut_off(
    own_service: Service, client: httpx.Client, penguins_artifact: Path
) -> None:
    content = grown(penguins_artifact)
    upload = opened(client, content)
    break_off(own_service, upload)
    send(client, upload, content, [2])

    own_service.stop(signal.SIGKILL)
    with contextlib.suppress(httpx.TransportError):
        client.get(upload["url"])  # the connection that was kept
    own_service.start("--workers", "2")

    assert [part["number"] for part in client.get(upload["url"]).json()["parts"]] == [2]
    send(client, upload, content, [1, 3])
    submit(client, upload, content, "2.0")
    ended = wait_for_end(own_service, client, upload)
    assert ended["status"] == "published", ended
    version = client.get(ended["version"]["url"]).json()
    assert (version["size_bytes"], version["uploaded_by"]) == (len(content), ACCOUNT[0])
    assert list((own_service.folder / "artifacts" / "uploads").iterdir()) == []


def test_it_inspects_again_after_its_worker_was_killed(
    own_service: Service, client: httpx.Client, penguins_artifact: Path
) -> None:
    """The schema blocks the inspection until its file is there; the second time it is."""
    witness = own_service.folder / "inspected"
    code = f"import os, time\nwhile not os.path.exists({str(witness)!r}): time.sleep(0.1)\n".encode()
    content = penguins_artifact.read_bytes()
    upload = opened(client, content)
    send(client, upload, content, [1])
    submit(client, upload, content, "2.0", schema=code + (pipelines.EXAMPLE / "validation.py").read_bytes())
    own_service.wait_for(lambda: inspections(own_service), "the inspection")

    os.kill(inspecting_worker(own_service), signal.SIGKILL)
    witness.touch()

    ended = wait_for_end(own_service, client, upload)
    assert ended["status"] == "published", ended
    assert own_service.get("/readyz").status_code == 200


def inspections(service: Service) -> list[int]:
    return [pid for pid in service.children() if re.search("registry.inspection.child", command_of(pid))]


def inspecting_worker(service: Service) -> int:
    (child,) = inspections(service)
    parent = subprocess.run(["ps", "-o", "ppid=", "-p", str(child)], check=True, capture_output=True, text=True)
    return int(parent.stdout)
