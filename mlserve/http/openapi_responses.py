"""Adds to each operation the problem details that it may answer with, by status."""

import re
from collections.abc import Iterator
from typing import Any

from django.conf import settings

from mlserve import errors
from mlserve.http.renderers import PROBLEM_MEDIA_TYPE

_KINDS: tuple[type[errors.MlserveError], ...] = (
    errors.BadRequest, errors.NotAuthenticated, errors.Forbidden, errors.NotFound, errors.NotAcceptable,
    errors.Conflict, errors.LengthRequired, errors.TooLarge, errors.UnsupportedMediaType, errors.TooManyRequests,
    errors.Unavailable,
)  # fmt: skip
_TITLES = {str(kind.status): kind.title for kind in _KINDS} | {"422": "What was sent can be read, but does not fit"}
# Of every operation: a malformed address, wrong credentials, missing rights, an Accept header that nothing fits, too
# many requests, and a part of the service that is unavailable.
_ALWAYS = ("400", "401", "403", "406", "429", "503")
_WITH_BODY = ("411", "413", "415")
_CHANGING = ("404", "409", "422")
_HISTORY = "/api/predict"
_PROBLEM = {
    "type": "object",
    "description": "Problem details (RFC 9457).",
    "properties": {
        "type": {"type": "string", "format": "uri", "description": "A page that explains the kind."},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "What was wrong, and what to do."},
        "instance": {"type": "string"},
        "errors": {
            "type": "array",
            "maxItems": 100,
            "items": {
                "type": "object",
                "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}},
                "required": ["pointer", "detail"],
            },
        },
        "total_errors": {"type": "integer"},
        "example": {
            "type": "array",
            "items": {"type": "object"},
            "description": "For rows in another layout: a list of records as it should be sent.",
        },
    },
    "required": ["type", "title", "status", "detail"],
}


# Not as `oneOf`, of which generators would make a type without any of the fields.
_ARTIFACT_OR_UPLOAD = {
    "if": {"required": ["upload"]},
    "then": {"required": ["sha256"], "not": {"required": ["artifact"]}},
    "else": {"required": ["artifact"]},
}
# Operations that always need an account; the others are open for public models.
_SIGNED_IN = re.compile(
    r"/api/(uploads|predict/(export|erase)|models/[^/]+/(promote|rollback|retire))\b|post /.*/versions$", re.ASCII
)


def add_problems(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """drf-spectacular's postprocessing hook: what cannot be said by serializers."""
    components = result.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas["Problem"] = _PROBLEM
    if "VersionUpload" in schemas:
        schemas["VersionUpload"] |= _ARTIFACT_OR_UPLOAD
    components["responses"] = {f"problem_{status}": _response(title) for status, title in _TITLES.items()}
    for path, operations in result["paths"].items():
        for method, operation in operations.items():
            if "requestBody" in operation:
                operation["requestBody"]["required"] = not path.endswith("/retire")
            if _is_open(method, path):
                operation["security"] = [{}, *({scheme: []} for scheme in components.get("securitySchemes", {}))]
            for status in _statuses(method, path, operation):
                operation["responses"].setdefault(status, {"$ref": f"#/components/responses/problem_{status}"})
    return result


def _is_open(method: str, path: str) -> bool:
    if (method, path) == ("get", _HISTORY):
        return bool(settings.MLSERVE_ANONYMOUS_HISTORY)
    return not _SIGNED_IN.search(f"{method} {path}")


def _statuses(method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    yield from _ALWAYS
    if method != "get":
        yield from _CHANGING
    elif path.count("/") > 2 or path == _HISTORY:  # its filters may name what is not there
        yield "404"
    if "requestBody" in operation:
        yield from _WITH_BODY


def _response(title: str) -> dict[str, Any]:
    content = {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {"description": title, "content": content}
