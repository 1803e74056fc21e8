"""What the worker runs: `attend` empties the queue and stays for more, `sweep` is the net under it.

`inspect_uploads` publishes what was sent to the storage directly.
"""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from mlserve.orphans import end_with_parent
from predictions import queue, workers
from predictions.attendance import Attendance
from predictions.claiming import claim
from predictions.execution import Work, execute
from predictions.models import Prediction
from predictions.transitions import Outcome
from registry.direct_upload import DirectUpload
from registry.models import ModelVersion
from registry.upload_inspection import inspect_next
from registry.uploads import sweep_uploads

log = logging.getLogger(__name__)

# A batch of a version whose last one took no longer is not worth another worker's attention.
_QUICK_SECONDS = 0.1
_seconds_of_last_batch: dict[int, float] = {}


def attend() -> int:
    """Predict what is queued, and what comes while this worker listens; how many predictions ended."""
    deadline = time.monotonic() + settings.MLSERVE_DRAIN_SECONDS
    queue.answer()
    with Attendance() as attendance:
        ended = drain(deadline, attendance)
        while attendance.wait(deadline - time.monotonic()):
            ended += drain(deadline, attendance)
    # Whoever rang between the last look and the end of listening relies on this one.
    return ended + drain(deadline)


def drain(
    deadline: float | None = None,
    attendance: Attendance | None = None,
    *,
    limit: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> int:
    """Predict whatever is queued, batch by batch, until nothing is left or the time is up; how many ended.

    1. claim    2. call other workers, if that leaves them something    3. execute    4. finish    5. again; when the
    time is up, call another worker

    `limit` stands around each execution, for a process that nobody watches from outside.
    """
    ended = 0
    try:
        while batch := claim(holder=workers.worker_name(), now=timezone.now()):
            _share_work(batch, attendance)
            with limit():
                outcomes = _execute(batch, attendance)
            ended += Prediction.objects.finish(outcomes, holder=workers.worker_name(), now=timezone.now())
            if deadline is not None and time.monotonic() > deadline:
                queue.call_worker()
                break
    except BaseException:  # also django-q2's time limit, which is a SystemExit
        if attendance is not None:
            attendance.step_aside()  # nobody may rely on this worker any more
        Prediction.objects.release_held_by([workers.worker_name()], now=timezone.now())
        queue.call_worker()
        raise
    return ended


def inspect_uploads() -> bool:
    """Inspect the direct upload that waited longest, and call for the next one; whether that is worth trying.

    One upload per task: each has the whole time limit, and a worker looks for predictions in between.
    """
    try:
        go_on = inspect_next(holder=workers.worker_name())
    except BaseException:  # also django-q2's time limit, which is a SystemExit
        DirectUpload.objects.release_held_by([workers.worker_name()], now=timezone.now())
        _call_inspector_if_wanted()
        raise
    if go_on:
        _call_inspector_if_wanted()
    return go_on


def _call_inspector_if_wanted() -> None:
    """Whoever inspects now looks for the next one when it has ended."""
    if DirectUpload.objects.queued().exists() and not DirectUpload.objects.inspecting().exists():
        queue.call_inspector()


def _share_work(batch: Sequence[Prediction], attendance: Attendance | None) -> None:
    is_quick = _is_quick(batch[0].version)
    is_full = sum(prediction.row_count for prediction in batch) >= settings.MLSERVE_BATCH_ROWS
    if attendance is not None and not is_quick:
        attendance.step_aside()
    if (is_full or not is_quick) and Prediction.objects.queued().exists():
        queue.call_worker(beside=workers.host_name() if attendance is not None and is_quick else "")


def _is_quick(version: ModelVersion) -> bool:
    return _seconds_of_last_batch.get(version.pk, _QUICK_SECONDS) < _QUICK_SECONDS


def _execute(batch: Sequence[Prediction], attendance: Attendance | None) -> list[Outcome]:
    version, started = batch[0].version, time.monotonic()
    with attendance.call() if attendance else nullcontext():
        outcomes = execute(version, [Work.of(prediction) for prediction in batch])
    _seconds_of_last_batch[version.pk] = time.monotonic() - started
    return outcomes


def sweep() -> dict[str, int]:
    """Take back what dead workers hold, expire what waited too long, apply retention, ring when work waits."""
    now = timezone.now()
    workers.see_living_workers()
    counts = {
        "released": Prediction.objects.release_expired(now=now) + workers.release_dead_workers(),
        "expired": Prediction.objects.expire(now=now),
        "deleted": Prediction.objects.delete_ended_before(now - timedelta(days=settings.MLSERVE_RETENTION_DAYS)),
    }
    Prediction.objects.mend()
    if Prediction.objects.queued().exists():
        queue.call_worker()
    workers.forget_unseen(now=now)
    sweep_uploads(now=now)
    _call_inspector_if_wanted()
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
