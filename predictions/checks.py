"""System checks of the queue: wrong combinations of settings, with a hint."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register


@register()
def retry_exceeds_timeout(**_: Any) -> list[CheckMessage]:
    """django-q2 only warns of this, and would run a long task several times at once."""
    cluster: dict[str, Any] = settings.Q_CLUSTER
    if cluster["retry"] > cluster["timeout"]:
        return []
    return [
        Error(
            f"Q_CLUSTER retry ({cluster['retry']} s) does not exceed its timeout ({cluster['timeout']} s).",
            hint="Make retry larger: a task that still runs would be started again.",
            id="predictions.E001",
        )
    ]


@register()
def wait_fits_the_queue(**_: Any) -> list[CheckMessage]:
    if settings.MLSERVE_MAX_WAIT < settings.MLSERVE_QUEUE_SECONDS:
        return []
    return [
        Error(
            "MLSERVE_MAX_WAIT is not below MLSERVE_QUEUE_SECONDS: a waiting request would see its row expire.",
            hint="Raise MLSERVE_QUEUE_SECONDS.",
            id="predictions.E002",
        )
    ]


@register()
def functions_share_a_queue(**_: Any) -> list[CheckMessage]:
    if not settings.ON_LAMBDA or settings.MLSERVE_QUEUE == "sqs":
        return []
    return [
        Error(
            f"MLSERVE_QUEUE is {settings.MLSERVE_QUEUE!r} in a function on Lambda, which is started by SQS only.",
            hint="Set MLSERVE_QUEUE=sqs; `.venv/bin/python manage.py create_queue` makes the queue.",
            id="predictions.E003",
        )
    ]
