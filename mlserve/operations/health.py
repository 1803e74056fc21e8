"""`/healthz`: the process answers. `/readyz`: everything that a prediction needs answers, and answers as inspected."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.conf import settings
from django.core.files.storage import storages
from django.http import HttpRequest, JsonResponse
from django.utils import timezone

from mlserve.errors import MlserveError
from predictions.models import Prediction
from predictions.queue import heartbeat, wake_ups
from registry.models import ModelVersion

log = logging.getLogger(__name__)

# Longer than a worker takes to give up on a version that hangs (MLSERVE_INSPECTION_SECONDS, unless raised).
_PENDING_HOLDS_SECONDS = 180.0
_STARTED = time.monotonic()
_MOST_NAMED = 10


class _NotReady(Exception):
    """What a check of ours found, as a sentence; `facts` are for programs."""

    def __init__(self, sentence: str, **facts: int) -> None:
        super().__init__(sentence)
        self.facts = facts


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
    facts: dict[str, int] = {}
    try:
        return {"ok": True, **check()}
    except _NotReady as error:
        found = shown = str(error)
        facts = error.facts
    except MlserveError as error:
        found = shown = str(error)
    except Exception as error:  # noqa: BLE001 - a probe reports whatever is wrong instead of failing itself
        found = f"{type(error).__name__}: {error}"
        # Drivers name hosts, users and buckets, and anybody may read this page.
        shown = found if settings.ON_LAPTOP else f"{type(error).__name__}; the log says more"
    log.info("Not ready: %s", found)
    return {"ok": False, "detail": shown, **facts}


def _database() -> dict[str, Any]:
    return {"oldest_queued_seconds": round(Prediction.objects.oldest_queued_seconds(now=timezone.now()), 3)}


def _storage() -> dict[str, Any]:
    storages["artifacts"].exists("ready")
    return {"kind": "bucket" if settings.MLSERVE_BUCKET else "files"}


def _queue() -> dict[str, Any]:
    wake_ups.ping()
    return {"kind": settings.MLSERVE_QUEUE}


def _workers() -> dict[str, Any]:
    seen = heartbeat.count_seen()
    if not seen:
        raise _NotReady("no worker was seen lately; is `manage.py serve` or its worker running?")
    return {"seen": seen}


def _models() -> dict[str, Any]:
    """Whether the live versions answer in this environment as they did at their inspection.

    An environment that answers differently must not become ready while the one before still serves. What nobody has
    asked yet holds that up for a few minutes only: perhaps there is no worker with these packages who could ask.
    """
    suspects = ModelVersion.objects.live().not_as_inspected().order_by("model__name")
    found = list(suspects.values_list("model__name", "tag", "model__is_public", "verdict"))
    if other := [version for version in found if version[3] is not None]:
        raise _NotReady(
            f"not as inspected in this environment: {_named(other)}. `manage.py verify_models` shows what differs; "
            "install the packages of before, roll back, or upload again under a new tag"
        )
    if found and time.monotonic() < _STARTED + _PENDING_HOLDS_SECONDS:
        raise _NotReady(
            f"not asked in this environment yet: {_named(found)}; a worker does it in a moment", pending=len(found)
        )
    return {"pending": len(found)}


def _named(versions: Sequence[tuple[Any, ...]]) -> str:
    """By name only what is public: anybody may read this page."""
    names = [f"{name} {tag}" for name, tag, is_public, _ in versions if is_public]
    hidden = len(versions) - len(names)
    shown = [*names[:_MOST_NAMED], *([f"{len(names) - _MOST_NAMED} more"] if len(names) > _MOST_NAMED else [])]
    return ", ".join([*shown, f"{hidden} of private models"] if hidden else shown)


_CHECKS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "database": _database,
    "storage": _storage,
    "queue": _queue,
    "workers": _workers,
    "models": _models,
}
