"""The service as clients see it: a GET over HTTP or HTTPS, and its answer."""

import http.client
from dataclasses import dataclass
from urllib.parse import urlsplit

from deployment.findings import NotKnown

# A cold start, and API Gateway's own limit.
_SECONDS = 35
_MOST_BYTES = 2**20


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    location: str = ""


def get(url: str, path: str) -> Answer:
    """One GET, no redirect followed. Raises NotKnown when there is no answer."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise NotKnown(f"{url} is no address of a service; it begins with https://")
    is_secure = parts.scheme == "https"
    kind = http.client.HTTPSConnection if is_secure else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=_SECONDS)
    try:
        connection.request("GET", parts.path.rstrip("/") + path, headers={"Accept": "application/json"})
        response = connection.getresponse()
        return Answer(response.status, response.read(_MOST_BYTES), response.getheader("Location") or "")
    except (OSError, http.client.HTTPException) as error:
        raise NotKnown(f"{url}{path} did not answer: {type(error).__name__}: {error}") from error
    finally:
        connection.close()
