"""What the worker runs: `drain` empties the queue, `sweep` is the net under it."""

import logging
import time
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from mlserve.orphans import end_with_parent
from predictions import queue, workers
from predictions.execution import execute
from predictions.models import Prediction

log = logging.getLogger(__name__)


def drain(budget_seconds: float | None = None) -> int:
    """Predict whatever is queued, batch by batch, until nothing is left or the time is up; how many ended.

    1. answer the bell    2. claim    3. execute    4. finish    5. again; when the time is up, ring for another
    """
    budget = settings.MLSERVE_DRAIN_SECONDS if budget_seconds is None else budget_seconds
    deadline = time.monotonic() + budget
    queue.answer()
    ended = 0
    try:
        while batch := Prediction.objects.claim(holder=workers.worker_name(), now=timezone.now()):
            outcomes = execute(batch)
            ended += Prediction.objects.finish(outcomes, holder=workers.worker_name(), now=timezone.now())
            if time.monotonic() > deadline:
                queue.wake()
                break
    except BaseException:  # also django-q2's time limit, which is a SystemExit
        Prediction.objects.release_held_by([workers.worker_name()], now=timezone.now())
        queue.wake()
        raise
    return ended


def sweep() -> dict[str, int]:
    """Take back what dead workers hold, expire what waited too long, apply retention, ring when work waits."""
    now = timezone.now()
    workers.see_living_workers()
    counts = {
        "released": Prediction.objects.release_expired(now=now) + workers.release_dead_workers(),
        "expired": Prediction.objects.expire(now=now),
        "deleted": Prediction.objects.delete_ended_before(now - timedelta(days=settings.MLSERVE_RETENTION_DAYS)),
    }
    if Prediction.objects.queued().exists():
        queue.wake()
    if any(counts.values()):
        log.info("Sweep: %(released)d released, %(expired)d expired, %(deleted)d deleted", counts)
    return counts


def start_worker(**_: Any) -> None:
    """Runs in each new worker process before it waits for tasks (django-q2's `post_spawn`).

    Whatever a predecessor held or had been called for is queued and rung for again, without waiting.
    """
    end_with_parent()
    workers.see_this_worker()
    queue.answer()
    sweep()
