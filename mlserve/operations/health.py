"""`/healthz`: the process answers. `/readyz`: all parts that a prediction needs answer, and models as inspected."""

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.conf import settings
from django.core.files.storage import storages
from django.http import HttpRequest, JsonResponse
from django.utils import timezone

from mlserve.conf.command_lines import MANAGE
from mlserve.errors import MlserveError
from mlserve.observability.database_errors import NOT_MIGRATED, trouble_of
from mlserve.observability.database_files import require_database_files
from mlserve.observability.migrations import missing_migrations
from mlserve.observability.repeated_lines import log_again
from mlserve.operations.disks import DiskTrial
from predictions.model_host.errors import HostUnavailable
from predictions.models import Prediction
from predictions.queue import heartbeat, wake_ups
from predictions.runtime import host_access
from registry.models import ModelVersion
from registry.sandbox.measurement import missing_parts, parts_in_force

log = logging.getLogger(__name__)

# Longer than a worker tries a version that hangs (MLSERVE_INSPECTION_SECONDS, unless raised).
_PENDING_HOLDS_SECONDS = 180.0
_disk_trial = DiskTrial()
_STARTED = time.monotonic()
_MOST_NAMED = 10
# Longer would hide a failure from a balancer that asks every second.
_KEPT_SECONDS = 1.0

Facts = dict[str, Any]
Answer = dict[str, Facts]


class _NotReady(Exception):
    """What one of these checks found, as a sentence; `facts` are for programs."""

    def __init__(self, sentence: str, **facts: int) -> None:
        super().__init__(sentence)
        self.facts = facts


class _NotMigrated(_NotReady):
    pass


def live(_request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "live"})


def ready(_request: HttpRequest) -> JsonResponse:
    """200 when every part answers, else 503 with the parts that do not. At most one second old."""
    checks = _recent()
    is_ready = all(check["ok"] for check in checks.values())
    return JsonResponse(
        {"status": "ready" if is_ready else "not ready", "checks": checks}, status=200 if is_ready else 503
    )


class RecentAnswer:
    """What `check` returned, for all callers within `_KEPT_SECONDS` of its return.

    Anyone may ask, and a check costs the database, the storage and the queue a round trip each. Callers that ask
    during a check wait for it and take its answer, even if the check lasted longer than answers are kept: otherwise
    they would repeat it one after the other while a part does not answer. Nothing is kept of a check that raised.
    """

    def __init__(self, check: Callable[[], Answer], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._check, self._clock = check, clock
        self._lock = threading.Lock()
        self._answer: Answer = {}
        self._ends_at = -math.inf

    def __call__(self) -> Answer:
        with self._lock:
            if self._clock() >= self._ends_at:
                self._answer = self._check()
                self._ends_at = self._clock() + _KEPT_SECONDS
            return self._answer


def _check_all() -> Answer:
    return {name: _probe(check) for name, check in _CHECKS.items()}


_recent = RecentAnswer(_check_all)


def _probe(check: Callable[[], Facts]) -> Facts:
    facts: dict[str, int] = {}
    what = ""
    try:
        return {"ok": True, **check()}
    except _NotReady as error:
        found = shown = str(error)
        facts, what = error.facts, NOT_MIGRATED.what if isinstance(error, _NotMigrated) else ""
    except MlserveError as error:
        found = shown = str(error)
    except Exception as error:  # noqa: BLE001 - a probe reports whatever is wrong instead of failing itself
        trouble = trouble_of(error)
        found = trouble.for_operators(error) if trouble else f"{type(error).__name__}: {error}"
        # Messages of drivers name hosts, users and buckets, and this page is public.
        what = trouble.what if trouble else ""
        public = trouble.advised() if trouble else type(error).__name__
        shown = found if settings.ON_LAPTOP else f"{public}; the log says more"
    log_again(log, logging.INFO, f"Not ready: {found}", about=what)
    return {"ok": False, "detail": shown, **facts}


def _database() -> Facts:
    require_database_files()
    if missing := missing_migrations():
        raise _NotMigrated(f"{NOT_MIGRATED.what} ({missing}): run {MANAGE} migrate")
    return {"oldest_queued_seconds": round(Prediction.objects.oldest_queued_seconds(now=timezone.now()), 3)}


def _storage() -> Facts:
    storages["artifacts"].exists("ready")
    return {"kind": "bucket" if settings.MLSERVE_BUCKET else "files"}


def _disk() -> Facts:
    _disk_trial()
    return {}


def _queue() -> Facts:
    wake_ups.ping()
    return {"kind": settings.MLSERVE_QUEUE}


def _workers() -> Facts:
    seen = heartbeat.count_seen()
    if not seen:
        raise _NotReady("no worker was seen lately; is `.venv/bin/python manage.py serve` or its worker running?")
    return {"seen": seen}


def _models() -> Facts:
    """Whether the live versions answer in this environment as they did at their inspection.

    An environment that answers differently must not become ready while the previous one still serves. A version that
    was not checked yet delays this for a few minutes only, because there may be no worker with these packages.
    """
    suspects = ModelVersion.objects.live().not_as_inspected().order_by("model__name")
    found = list(suspects.values_list("model__name", "tag", "model__is_public", "verdict"))
    if other := [version for version in found if version[3] is not None]:
        raise _NotReady(
            f"not as inspected in this environment: {_named(other)}. `{MANAGE} verify_models` shows what differs; "
            "install the packages of before, roll back, or upload again under a new tag"
        )
    if found and time.monotonic() < _STARTED + _PENDING_HOLDS_SECONDS:
        raise _NotReady(
            f"not asked in this environment yet: {_named(found)}; a worker does it in a moment", pending=len(found)
        )
    return {"pending": len(found)}


def _named(versions: Sequence[tuple[Any, ...]]) -> str:
    """Names public models only, because this page is public."""
    names = [f"{name} {tag}" for name, tag, is_public, _ in versions if is_public]
    hidden = len(versions) - len(names)
    shown = [*names[:_MOST_NAMED], *([f"{len(names) - _MOST_NAMED} more"] if len(names) > _MOST_NAMED else [])]
    return ", ".join([*shown, f"{hidden} of private models"] if hidden else shown)


def _model_host() -> Facts:
    """Whether the process answers that all calls of models pass through; Lambda's functions have one of their own."""
    try:
        count = host_access.process_count()
    except HostUnavailable as error:
        raise _NotReady(f"{error} It is started again by `.venv/bin/python manage.py serve` within seconds") from error
    return {} if count is None else {"processes": count}


def _sandbox() -> Facts:
    """A fact, and no reason not to be ready: it would be the same after a restart. SECURITY.md says what it means."""
    return {"holds": list(parts_in_force()), "missing": list(missing_parts())}


_CHECKS: Mapping[str, Callable[[], Facts]] = {
    "database": _database,
    "storage": _storage,
    "disk": _disk,
    "queue": _queue,
    "workers": _workers,
    "models": _models,
    "model_host": _model_host,
    "sandbox": _sandbox,
}
