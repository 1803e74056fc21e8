"""Direct uploads as a client makes them: open, send parts to wherever they go, submit."""

import hashlib
import urllib.request
from collections.abc import Iterable
from typing import Any

from rest_framework.test import APIClient

from registry.models.direct_upload import DirectUpload

UPLOADS = "/api/uploads"
VERSIONS = "/api/models/penguins/versions"
HERE = "http://testserver"


def opened(api: APIClient, size_bytes: int, **more: Any) -> dict[str, Any]:
    response = api.post(UPLOADS, {"size_bytes": size_bytes, "file_name": "model.joblib", **more}, format="json")
    assert response.status_code == 201, response.content
    body: dict[str, Any] = response.json()
    return body


def addresses(api: APIClient, upload: dict[str, Any], numbers: Iterable[int]) -> list[dict[str, Any]]:
    response = api.post(f"{upload['url']}/parts", {"numbers": list(numbers)}, format="json")
    assert response.status_code == 200, response.content
    parts: list[dict[str, Any]] = response.json()["parts"]
    return parts


def put(api: APIClient, url: str, content: bytes) -> int:
    """The status of a PUT to this server, with its credentials, or to another one without any."""
    if url.startswith(HERE):
        return api.put(url, content, content_type="application/octet-stream").status_code
    headers = {"Content-Type": "application/octet-stream"}
    request = urllib.request.Request(url, content, headers, method="PUT")
    with urllib.request.urlopen(request, timeout=30) as response:
        return int(response.status)


def send(api: APIClient, upload: dict[str, Any], content: bytes, numbers: Iterable[int] | None = None) -> None:
    """Send all parts, or those."""
    for part in addresses(api, upload, numbers or range(1, upload["part_count"] + 1)):
        start = (part["number"] - 1) * upload["part_bytes"]
        assert put(api, part["url"], content[start : start + part["size_bytes"]]) in (200, 204)


def submit(api: APIClient, upload: dict[str, Any], content: bytes, **more: Any) -> Any:
    """The response to a submission of that content."""
    sha256 = hashlib.sha256(content).hexdigest()
    form = {"upload": upload["upload_id"], "sha256": sha256, "tag": "1.0", **more}
    return api.post(VERSIONS, form, format="multipart")


def submitted(api: APIClient, content: bytes, **more: Any) -> dict[str, Any]:
    """An upload of that content that waits for a worker."""
    upload = opened(api, len(content))
    send(api, upload, content)
    response = submit(api, upload, content, **more)
    assert response.status_code == 202, response.content
    body: dict[str, Any] = response.json()
    return body


def row(upload: dict[str, Any]) -> DirectUpload:
    return DirectUpload.objects.get(pk=upload["upload_id"])
