"""System checks of the registry: wrong combinations of settings, with a hint."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning, register


@register(deploy=True)
def local_artifacts_on_a_server(**_: Any) -> list[CheckMessage]:
    """Files under `var/` are seen by one machine only, while PostgreSQL hints at several."""
    database = settings.DATABASES["default"]["ENGINE"]
    if settings.MLSERVE_BUCKET or database.endswith("sqlite3"):
        return []
    return [
        Warning(
            "Artifacts are stored on this machine's disk while the database is a server's.",
            hint="Set MLSERVE_BUCKET, so that every process finds them; ignore this on a single machine.",
            id="registry.W001",
        )
    ]
