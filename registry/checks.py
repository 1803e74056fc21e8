"""System checks of the registry: wrong combinations of settings, with a hint."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from registry.formats.trust import problem_of
from registry.sandbox.measurement import REACHED_WITHOUT, WHAT_TO_DO, missing_parts


@register(deploy=True)
def local_artifacts_on_a_server(**_: Any) -> list[CheckMessage]:
    """Files under `var/` exist on one machine only, while a database server suggests several machines."""
    database = settings.DATABASES["default"]["ENGINE"]
    if settings.MLSERVE_BUCKET or database.endswith("sqlite3"):
        return []
    return [
        Warning(
            "Artifacts are stored on this machine's disk, but the database runs on a server.",
            hint="Set MLSERVE_BUCKET, so that every process finds them; ignore this on a single machine.",
            id="registry.W001",
        )
    ]


@register()
def trusted_modules(**_: Any) -> list[CheckMessage]:
    """An entry that would trust Python's own library or a whole framework is ignored, so it must be reported."""
    return [
        Error(
            f"MLSERVE_TRUSTED_MODULES: {problem}",
            hint="Name modules of your own, separated by commas: our_company.features, or exact names after a colon.",
            id="registry.E001",
        )
        for entry in settings.MLSERVE_TRUSTED_MODULES
        if (problem := problem_of(entry))
    ]


@register(deploy=True)
def sandbox_with_gaps(**_: Any) -> list[CheckMessage]:
    """What the code of an uploaded file could do on this system."""
    return [
        Warning(
            f"The sandbox lacks {part} on this system: a model's code could {REACHED_WITHOUT[part]}.",
            hint=f"{WHAT_TO_DO}.",
            id="registry.W002",
        )
        for part in missing_parts()
    ]
