"""API Gateway, REST with proxy integration: a request becomes an event, and what the function returns an answer.

https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
"""

import base64
import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from werkzeug.datastructures import Headers
from werkzeug.wrappers import Request, Response

from tests.stand_ins.functions import MOST_PAYLOAD_BYTES
from tests.stand_ins.runtime_api import InvocationResult

# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html
MOST_BODY_BYTES = 10 * 10**6
MOST_SECONDS = 29.0
_BETWEEN_TWO_ONLY = {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "content-length"}


@dataclass(frozen=True)
class Api:
    """A deployed stage of an API. `is_binary`: it takes every media type for binary, as `*/*` says."""

    identifier: str
    region: str
    stage: str
    is_binary: bool

    @property
    def host(self) -> str:
        return f"{self.identifier}.execute-api.{self.region}.amazonaws.com"


def answer(api: Api, request: Request, path: str, invoke: Callable[[bytes], InvocationResult]) -> Response:
    """What the client gets. `path` is the one behind the stage, still encoded."""
    body = request.get_data()
    payload = json.dumps(event_of(api, request, path, body)).encode()
    if len(body) > MOST_BODY_BYTES or len(payload) > MOST_PAYLOAD_BYTES:
        return _own(413, "Request Too Long")
    started = time.monotonic()
    result = invoke(payload)
    if time.monotonic() - started > MOST_SECONDS:
        return _own(504, "Endpoint request timed out")
    if result.is_error:
        return _own(502, "Internal server error")
    try:
        return _answer_of(json.loads(result.body), api)
    except (ValueError, TypeError, KeyError, AttributeError):
        return _own(502, "Internal server error")


def event_of(api: Api, request: Request, path: str, body: bytes) -> dict[str, Any]:
    headers = _headers(api, request)
    query = parse_qsl(request.query_string.decode("latin-1"), keep_blank_values=True)
    queries: dict[str, list[str]] = {}
    for name, value in query:
        queries.setdefault(name, []).append(value)
    client = request.remote_addr or "127.0.0.1"
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": request.method,
        "headers": {name: values[-1] for name, values in headers.items()},
        "multiValueHeaders": headers,
        "queryStringParameters": dict(query) or None,
        "multiValueQueryStringParameters": queries or None,
        "pathParameters": {"proxy": path.removeprefix("/")} if path != "/" else None,
        "stageVariables": None,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": api.identifier,
            "domainName": api.host,
            "httpMethod": request.method,
            "identity": {"sourceIp": client, "userAgent": request.headers.get("User-Agent")},
            "path": f"/{api.stage}{path}",
            "protocol": "HTTP/1.1",
            "requestId": str(uuid.uuid4()),
            "resourcePath": "/{proxy+}",
            "stage": api.stage,
        },
        "body": _as_text(body, api) if body else None,
        "isBase64Encoded": bool(body) and api.is_binary,
    }


def _headers(api: Api, request: Request) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in request.headers:
        if name.lower() not in _BETWEEN_TWO_ONLY:
            found.setdefault(name, []).append(value)
    written = ", ".join(found.get("X-Forwarded-For", ()))
    client = request.remote_addr or "127.0.0.1"
    return {
        **found,
        "Host": [api.host],
        "X-Forwarded-For": [f"{written}, {client}" if written else client],
        "X-Forwarded-Port": ["443"],
        "X-Forwarded-Proto": ["https"],
    }


def _as_text(body: bytes, api: Api) -> str:
    return base64.b64encode(body).decode() if api.is_binary else body.decode("utf-8", "replace")


def _answer_of(returned: Mapping[str, Any], api: Api) -> Response:
    headers = Headers()
    several: Mapping[str, list[str]] = returned.get("multiValueHeaders") or {}
    for name, value in (returned.get("headers") or {}).items():
        if name.lower() not in {each.lower() for each in several}:
            headers.add(name, str(value))
    for name, values in several.items():
        for value in values:
            headers.add(name, value)
    text: str = returned.get("body") or ""
    is_encoded = returned.get("isBase64Encoded") and api.is_binary
    for name in ("Content-Length", "Connection"):
        headers.remove(name)
    return Response(base64.b64decode(text) if is_encoded else text.encode(), int(returned["statusCode"]), headers)


def _own(status: int, message: str) -> Response:
    """API Gateway's own answers, which no function saw."""
    return Response(json.dumps({"message": message}), status, content_type="application/json")
