"""API Gateway, and the service behind its address."""

import json
from typing import Any

from deployment.account import Absent
from deployment.evidence import WEB, Evidence
from deployment.findings import Finding, failed, ok, warning
from deployment.front import Answer, get

_LOG = "zappa tail web shows the error"


def api(evidence: Evidence) -> Finding:
    identifier = evidence.api_id()
    try:
        stages = evidence.account.ask("apigateway", "get_stages", restApiId=identifier)["item"]
    except Absent:
        stages = []
    if WEB not in [stage["stageName"] for stage in stages]:
        return failed(f"the API {identifier} has no stage {WEB}", "make deploy")
    return ok(evidence.url())


def binary(evidence: Evidence) -> Finding:
    """Without it compressed pages and style sheets arrive as base64 text."""
    found = evidence.account.ask("apigateway", "get_rest_api", restApiId=evidence.api_id()).get("binaryMediaTypes", [])
    if "*/*" not in found:
        return failed(f"binary media types: {', '.join(found) or 'none'}", '"binary_support": true, make deploy')
    return ok("*/*")


def health(evidence: Evidence) -> Finding:
    answer = get(evidence.url(), "/healthz")
    if answer.status != 200:
        return failed(f"{evidence.url()}/healthz answered {answer.status}{_hint(answer)}", _fix(answer))
    page = get(evidence.url(), "/login")  # probes answer to every Host, pages to those in ALLOWED_HOSTS
    if page.status == 400:
        return failed(f"{evidence.url()}/login answered 400", _fix(page))
    return ok(f"{evidence.url()}/healthz answers")


def ready(evidence: Evidence) -> Finding:
    answer = get(evidence.url(), "/readyz")
    if answer.status == 200:
        return ok("database, storage, queue and workers answer")
    parts = _parts_down(answer)
    if not parts:
        return failed(f"{evidence.url()}/readyz answered {answer.status}{_hint(answer)}", _fix(answer))
    found = "; ".join(f"{name}: {part.get('detail', '')}" for name, part in parts.items())
    if all(name == "workers" or "pending" in part for name, part in parts.items()):
        return warning(found, "a worker is called each minute, and asks one model: see `schedule`; zappa tail worker")
    return failed(found, "see the check of that name with -reached")


def _parts_down(answer: Answer) -> dict[str, dict[str, Any]]:
    try:
        told: Any = json.loads(answer.body)
        return {name: dict(part) for name, part in told["checks"].items() if not part["ok"]}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _hint(answer: Answer) -> str:
    return f" to {answer.location}" if answer.location else ""


def _fix(answer: Answer) -> str:
    if answer.status == 400:
        return f"ALLOWED_HOSTS must name the host of this address; {_LOG}"
    if answer.status == 403:
        return "API Gateway knows no such stage or path: is the address right, with its stage at the end?"
    return _LOG
