"""What the worker runs: `attend` empties the queue and stays for more, `sweep` is the net under it."""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils import timezone

from mlserve.orphans import end_with_parent
from predictions import queue, workers
from predictions.claiming import claim
from predictions.doorbell import Doorbell
from predictions.execution import Work, execute
from predictions.models import Prediction

log = logging.getLogger(__name__)

# A batch of a version whose last one took no longer is not worth another worker's attention.
_QUICK_SECONDS = 0.1
# When a call that should have been quick is no longer waited for.
_LONG_SECONDS = 1.0
_seconds_of_last_batch: dict[int, float] = {}


def attend() -> int:
    """Predict what is queued, and what comes while this worker listens; how many predictions ended.

    The listening worker is told of each submission directly, which is ten times as fast as a task of its own.
    Another worker listens already: then only the table is emptied.
    """
    deadline = time.monotonic() + settings.MLSERVE_DRAIN_SECONDS
    queue.answer()
    bell = queue.attending_bell()
    bell.listen()
    try:
        ended = drain(deadline, bell)
        while (left := deadline - time.monotonic()) > 0 and bell.listen() and bell.wait(left):
            ended += drain(deadline, bell)
    finally:
        bell.close()
    # Whoever rang between the last look and the end of listening relies on this one.
    return ended + drain(deadline)


def drain(deadline: float | None = None, bell: Doorbell | None = None) -> int:
    """Predict whatever is queued, batch by batch, until nothing is left or the time is up; how many ended.

    1. claim    2. execute    3. finish    4. again; when the time is up, call another worker

    `bell` is closed during calls that may be long, so that other workers hear of what comes meanwhile.
    """
    ended = 0
    try:
        while batch := claim(holder=workers.worker_name(), now=timezone.now()):
            _share_work(batch, bell)
            ended += _predict(batch, bell)
            if deadline is not None and time.monotonic() > deadline:
                queue.call_worker()
                break
    except BaseException:  # also django-q2's time limit, which is a SystemExit
        Prediction.objects.release_held_by([workers.worker_name()], now=timezone.now())
        queue.call_worker()
        raise
    return ended


def _share_work(batch: Sequence[Prediction], bell: Doorbell | None) -> None:
    """Call another worker when this batch leaves it something to do."""
    version = batch[0].version
    is_quick = _seconds_of_last_batch.get(version.pk, _QUICK_SECONDS) < _QUICK_SECONDS
    is_full = sum(prediction.row_count for prediction in batch) >= settings.MLSERVE_BATCH_ROWS
    if bell is not None and not is_quick:
        bell.close()
    if (is_full or not is_quick) and Prediction.objects.queued().exists():
        queue.call_worker()


def _predict(batch: Sequence[Prediction], bell: Doorbell | None) -> int:
    started = time.monotonic()
    version = batch[0].version
    with _relieved(bell):
        outcomes = execute(version, [Work.of(prediction) for prediction in batch])
    _seconds_of_last_batch[version.pk] = time.monotonic() - started
    return Prediction.objects.finish(outcomes, holder=workers.worker_name(), now=timezone.now())


@contextmanager
def _relieved(bell: Doorbell | None) -> Iterator[None]:
    """Should a call that was expected to be quick take long, others attend meanwhile."""
    if bell is None:
        yield
        return
    watch = threading.Timer(_LONG_SECONDS, _be_relieved, [bell])
    watch.daemon = True
    watch.start()
    try:
        yield
    finally:
        watch.cancel()
        watch.join()


def _be_relieved(bell: Doorbell) -> None:
    bell.close()
    queue.call_worker()
    connection.close()  # this thread's own


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
        queue.call_worker()
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
