"""What the worker runs: `drain` empties the queue, `sweep` is the net under it."""

import logging
import os
import socket
import time
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from mlserve.orphans import end_with_parent
from predictions import queue
from predictions.execution import execute
from predictions.models import Prediction, Worker

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
        while batch := Prediction.objects.claim(holder=worker_name(), now=timezone.now()):
            outcomes = execute(batch)
            ended += Prediction.objects.finish(outcomes, holder=worker_name(), now=timezone.now())
            if time.monotonic() > deadline:
                queue.wake()
                break
    except BaseException:  # also django-q2's time limit, which is a SystemExit
        Prediction.objects.release_held_by([worker_name()], now=timezone.now())
        raise
    return ended


def sweep() -> dict[str, int]:
    """Take back what dead workers hold, expire what waited too long, apply retention, ring when work waits."""
    now = timezone.now()
    _see_this_worker()
    counts = {
        "released": Prediction.objects.release_expired(now=now) + _release_dead_workers(),
        "expired": Prediction.objects.expire(now=now),
        "deleted": Prediction.objects.delete_ended_before(now - timedelta(days=settings.MLSERVE_RETENTION_DAYS)),
    }
    if Prediction.objects.queued().exists():
        queue.wake()
    if any(counts.values()):
        log.info("Sweep: %(released)d released, %(expired)d expired, %(deleted)d deleted", counts)
    return counts


def worker_name() -> str:
    """Who holds a lease: this process."""
    return f"{socket.gethostname()}:{os.getpid()}"


def start_worker(**_: Any) -> None:
    """Runs in each new worker process before it waits for tasks (django-q2's `post_spawn`).

    Whatever a predecessor held or had been called for is queued and rung for again, without waiting.
    """
    end_with_parent()
    queue.answer()
    sweep()


def _see_this_worker() -> None:
    Worker.objects.update_or_create(
        name=worker_name(),
        defaults={"host": socket.gethostname(), "pid": os.getpid(), "seen_at": timezone.now()},
    )


def _release_dead_workers() -> int:
    """Leases of workers on this host whose process is gone need not run out first."""
    gone = [worker.name for worker in Worker.objects.filter(host=socket.gethostname()) if not _is_alive(worker.pid)]
    released = Prediction.objects.release_held_by(gone, now=timezone.now())
    Worker.objects.filter(name__in=gone).delete()
    return released


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
