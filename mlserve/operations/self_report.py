"""Facts that only a process of the service knows, which `deploy_check` compares. Runs on Lambda and anywhere else.

They contain no secret: the key is shown as a fingerprint, and no part contains a password.
"""

import os
import platform
import shutil
from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from django.core.files.storage import storages
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from mlserve.conf.secret_key import fingerprint, weakness
from predictions.models import Prediction
from predictions.queue import heartbeat, wake_ups
from registry.models import ModelVersion
from registry.pipelines.environment import PACKAGES, installed
from registry.sandbox.measurement import missing_parts, parts_in_force

# An answer of Lambda has a limit; the registry lists the other live models.
_MOST_MODELS = 500
_ABOUT_POSTGRES = """
SELECT clock_timestamp(), current_setting('server_version'), current_setting('max_connections')::int,
  current_setting('superuser_reserved_connections')::int,
  (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
  coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false)
"""


def self_report() -> dict[str, Any]:
    """Each part by itself, so that one that fails does not hide the others: it then contains only `error`."""
    return {"now": timezone.now().isoformat(), **{name: _contained(part) for name, part in _PARTS.items()}}


def _contained(part: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return part()
    except Exception as error:  # noqa: BLE001 - the error is the result
        return {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"}


def _process() -> dict[str, Any]:
    return {
        "function": os.environ.get("AWS_LAMBDA_FUNCTION_NAME", ""),
        "python": platform.python_version(),
        "packages": {name: installed(name) for name in PACKAGES},
        "memory_mb": int(os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "0")),
        "tmp_free_bytes": shutil.disk_usage("/tmp").free,  # noqa: S108 - the only place that a function may write to
    }


def _settings() -> dict[str, Any]:
    cluster: Mapping[str, Any] = settings.Q_CLUSTER
    return {
        "secret_key_fingerprint": fingerprint(settings.SECRET_KEY),
        "secret_key_weakness": weakness(settings.SECRET_KEY),
        "is_debug": settings.DEBUG or settings.ON_LAPTOP,
        "bucket": settings.MLSERVE_BUCKET,
        "queue": settings.MLSERVE_QUEUE,
        "queue_name": cluster["name"],
        "max_wait_seconds": settings.MLSERVE_MAX_WAIT,
        "batch_seconds": settings.MLSERVE_BATCH_SECONDS,
        "inspection_seconds": settings.MLSERVE_INSPECTION_SECONDS,
        "max_body_bytes": settings.MLSERVE_MAX_BODY_BYTES,
        "max_artifact_bytes": settings.MLSERVE_MAX_ARTIFACT_BYTES,
        "cache_bytes": settings.MLSERVE_CACHE_BYTES,
        "task_timeout_seconds": cluster["timeout"],
        "task_retry_seconds": cluster["retry"],
    }


def _database() -> dict[str, Any]:
    connection.ensure_connection()  # which takes time that would count as a wrong clock
    return {"vendor": connection.vendor, **(_postgres() if connection.vendor == "postgresql" else {})}


def _postgres() -> dict[str, Any]:
    before = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(_ABOUT_POSTGRES)
        now, version, most, reserved, used, is_encrypted = cursor.fetchone()
    after = timezone.now()
    return {
        "version": version,
        "max_connections": most,
        "reserved_connections": reserved,
        "used_connections": used,
        "is_encrypted": is_encrypted,
        "skew_seconds": max((before - now).total_seconds(), (now - after).total_seconds(), 0.0),
    }


def _migrations() -> dict[str, Any]:
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return {"missing": [f"{migration.app_label}.{migration.name}" for migration, _ in missing]}


def _people() -> dict[str, Any]:
    from django.contrib.auth import get_user_model

    return {"administrators": get_user_model().objects.filter(is_superuser=True, is_active=True).count()}


def _storage() -> dict[str, Any]:
    storages["artifacts"].exists("ready")
    return {"bucket": settings.MLSERVE_BUCKET}


def _queue() -> dict[str, Any]:
    wake_ups.ping()
    return {"kind": settings.MLSERVE_QUEUE}


def _waiting() -> dict[str, Any]:
    age = Prediction.objects.oldest_queued_seconds(now=timezone.now())
    return {"oldest_queued_seconds": round(age, 1), "workers_seen": heartbeat.count_seen()}


def _models() -> dict[str, Any]:
    live = ModelVersion.objects.live().select_related("model").only("model__name", "tag", "size_bytes", "environment")
    return {
        "live": [
            {
                "version": str(version),
                "size_bytes": version.size_bytes,
                "inspected_with": version.environment.get("inspected_with", {}),
            }
            for version in live.order_by("-size_bytes")[:_MOST_MODELS]
        ]
    }


def _sandbox() -> dict[str, Any]:
    return {"holds": list(parts_in_force()), "missing": list(missing_parts())}


_PARTS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "process": _process,
    "settings": _settings,
    "database": _database,
    "migrations": _migrations,
    "people": _people,
    "storage": _storage,
    "queue": _queue,
    "waiting": _waiting,
    "models": _models,
    "sandbox": _sandbox,
}
