"""HTTP on Lambda: API Gateway's events (REST, proxy integration) through the WSGI application, and back."""

import gzip
import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from apig_wsgi import make_lambda_handler

from mlserve.errors import AnswerTooLarge
from mlserve.http.problems import stored_problem, with_absolute_type
from mlserve.observability.tracing import flush_spans, traced
from mlserve.wsgi import application
from predictions.metrics import totals

# Lambda's limit for an answer, as the JSON text that the runtime makes of it.
MOST_ANSWER_BYTES = 6 * 2**20
# JSON needs at most six characters for a byte (\u0000): an answer below this size need not be measured.
_SURELY_FITS_BYTES = MOST_ANSWER_BYTES // 7
_QUICK = 6  # gzip's level
# What a function has counted since then is lost if it is not called again.
_COUNTS_WAIT_SECONDS = 10.0


def respond(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """API Gateway's answer to the request in `event`."""
    answer = _answer(_readable(event), context)
    flush_spans()
    totals.flush_if_due(after_seconds=_COUNTS_WAIT_SECONDS)
    if _fits(answer):
        return answer
    return _packed(answer, event) or _refused(answer, event)


def _as_api_gateway_saw_it(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """The client can write anything into X-Forwarded-For; the address here is the connection's."""
    identity = environ["apig_wsgi.request_context"].get("identity") or {}
    environ["REMOTE_ADDR"] = identity.get("sourceIp") or environ["REMOTE_ADDR"]
    return traced(application)(environ, start_response)


# The API has to treat every media type as binary, which Zappa configures.
_answer = make_lambda_handler(_as_api_gateway_saw_it, binary_support=True)


def _readable(event: Mapping[str, Any]) -> dict[str, Any]:
    """The event as the library reads it: an encoded path, one Cookie header (HTTP/2 clients may send several)."""
    readable = {"requestContext": {}, **event, "path": quote(event["path"], safe="/%:@!$&'()*+,;=~")}
    headers: Mapping[str, list[str]] = event.get("multiValueHeaders") or {}
    several = {name: ["; ".join(values)] for name, values in headers.items() if name.lower() == "cookie"}
    if several:
        readable["multiValueHeaders"] = {**headers, **several}
    return readable


def _fits(answer: Mapping[str, Any]) -> bool:
    if len(answer["body"]) < _SURELY_FITS_BYTES:
        return True
    return len(json.dumps(answer, ensure_ascii=False).encode()) <= MOST_ANSWER_BYTES


def _packed(answer: Mapping[str, Any], event: Mapping[str, Any]) -> dict[str, Any] | None:
    """The answer compressed, where the client can read that and it then fits."""
    headers: Mapping[str, list[str]] = answer.get("multiValueHeaders") or {}
    if "gzip" not in _header(event, "accept-encoding") or "Content-Encoding" in headers:
        return None
    content = b64encode(gzip.compress(_bytes_of(answer), _QUICK)).decode()
    vary = ", ".join([*headers.get("Vary", ()), "Accept-Encoding"])
    kept = {name: values for name, values in headers.items() if name != "Content-Length"}
    packed = {
        **answer,
        "multiValueHeaders": {**kept, "Content-Encoding": ["gzip"], "Vary": [vary]},
        "isBase64Encoded": True,
        "body": content,
    }
    return packed if _fits(packed) else None


def _header(event: Mapping[str, Any], name: str) -> str:
    headers: Mapping[str, list[str]] = event.get("multiValueHeaders") or {}
    return ",".join(value for key, values in headers.items() if key.lower() == name for value in values).lower()


def _bytes_of(answer: Mapping[str, Any]) -> bytes:
    body: str = answer["body"]
    return b64decode(body) if answer["isBase64Encoded"] else body.encode()


def _refused(answer: Mapping[str, Any], event: Mapping[str, Any]) -> dict[str, Any]:
    """A reason instead of API Gateway's "Internal server error"."""
    host = _header(event, "host")
    megabytes = len(_bytes_of(answer)) / 1e6
    error = AnswerTooLarge(
        f"The answer has {megabytes:.1f} MB; Lambda passes on about {MOST_ANSWER_BYTES // 10**6} MB. "
        "Ask with the header Accept-Encoding: gzip, or for fewer rows at once."
    )
    return {
        "statusCode": error.status,
        "multiValueHeaders": {"Content-Type": ["application/problem+json"]},
        "isBase64Encoded": False,
        "body": json.dumps(with_absolute_type(stored_problem(error), f"https://{host}" if host else "")),
    }
