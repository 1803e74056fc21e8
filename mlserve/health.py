"""`/healthz`: the process answers. `/readyz`: everything that a prediction needs answers."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from django.core.files.storage import storages
from django.http import HttpRequest, JsonResponse
from django.utils import timezone

from predictions import queue, workers
from predictions.models import Prediction

log = logging.getLogger(__name__)


def live(_request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "live"})


def ready(_request: HttpRequest) -> JsonResponse:
    """200 when every part answers, else 503 with the parts that do not."""
    checks = {name: _probe(check) for name, check in _CHECKS.items()}
    is_ready = all(check["ok"] for check in checks.values())
    return JsonResponse(
        {"status": "ready" if is_ready else "not ready", "checks": checks}, status=200 if is_ready else 503
    )


def _probe(check: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return {"ok": True, **check()}
    except Exception as error:  # noqa: BLE001 - a probe reports whatever is wrong instead of failing itself
        log.info("Not ready: %s", error)
        return {"ok": False, "detail": f"{type(error).__name__}: {error}"}


def _database() -> dict[str, Any]:
    return {"oldest_queued_seconds": round(Prediction.objects.oldest_queued_seconds(now=timezone.now()), 3)}


def _storage() -> dict[str, Any]:
    storages["artifacts"].exists("ready")
    return {"bucket": settings.MLSERVE_BUCKET or None}


def _queue() -> dict[str, Any]:
    queue.ping()
    return {"kind": settings.MLSERVE_QUEUE}


def _workers() -> dict[str, Any]:
    seen = workers.count_seen()
    if not seen:
        raise LookupError("no worker was seen lately; is `manage.py serve` or its worker running?")
    return {"seen": seen}


_CHECKS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "database": _database,
    "storage": _storage,
    "queue": _queue,
    "workers": _workers,
}
