"""What the worker runs: `attend` empties the queue and stays for more, `sweep` is the net under it.

`inspect_uploads` publishes what was sent to the storage directly.
"""

import logging
import multiprocessing
import signal
import time
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections
from django.utils import timezone

from mlserve.access.expired_rows import forget_callers
from mlserve.observability.database_files import report_lost_files
from mlserve.processes import temporary_folders
from mlserve.processes.orphans import end_with_parent
from predictions.metrics import totals
from predictions.models import Prediction
from predictions.queue import heartbeat, wake_ups
from predictions.store.payload_sweep import delete_unreferenced
from predictions.store.retention import delete_what_is_too_old
from predictions.worker import stopping
from predictions.worker.draining import drain as drain  # noqa: PLC0414 - a task's own word for it
from predictions.worker.draining import seconds_to_next_try
from predictions.worker.wake_up_listener import WakeUpListener
from registry.models.direct_upload import DirectUpload
from registry.uploads.sender import sweep_uploads
from registry.uploads.worker import inspect_next

log = logging.getLogger(__name__)

# Between two looks at a database that does not answer.
_PAUSE_SECONDS = 1.0
# The shortest time between two tries of what is unreachable.
_LEAST_SECONDS = 0.25


class _Late:
    """Whether this worker could not introduce itself when it started."""

    is_unknown = False


def attend() -> int:
    """Predict what is queued, and what comes while this worker listens; how many predictions ended.

    It waits for an unreachable database, because what was queued relies on this task to look at the table.
    """
    try:
        return _attend()
    except (OperationalError, InterfaceError) as error:
        log.error("The database does not answer, trying on: %s", error)  # noqa: TRY400
        if _wait_for_database():
            wake_ups.call_worker()  # as a task of its own, with the whole time limit
        return 0


def _attend() -> int:
    deadline = time.monotonic() + settings.MLSERVE_DRAIN_SECONDS
    if _Late.is_unknown:
        introduce()
        _Late.is_unknown = False
    wake_ups.clear_pending_wake_up()
    with WakeUpListener() as listener:
        ended = drain(deadline, listener)
        while not stopping.is_asked() and _waits(listener, deadline):
            ended += drain(deadline, listener)
    ended += _look_once_more(deadline)
    totals.flush_if_due(after_seconds=0)
    if seconds_to_next_try() is not None:
        wake_ups.call_worker()
    return ended


def _look_once_more(deadline: float) -> int:
    """For wake-ups between the last look and the end of listening; how many predictions ended.

    A task has the time of one batch beyond its deadline. A batch that began later would be ended in its midst, and its
    version be taken for one that hangs.
    """
    if time.monotonic() < deadline:
        return drain(deadline)
    if Prediction.objects.queued().exists():
        wake_ups.call_worker()
    return 0


def _waits(listener: WakeUpListener, deadline: float) -> bool:
    """Whether to look again, after a wake-up or at the end of a pause; False when the time is up."""
    pause = seconds_to_next_try()
    if pause is None:
        return listener.wait(deadline - time.monotonic())
    again_at = min(time.monotonic() + max(pause, _LEAST_SECONDS), deadline)
    return listener.wait(again_at - time.monotonic()) or again_at <= time.monotonic() < deadline


def _wait_for_database() -> bool:
    """Whether it answers again, within the time that a task may take."""
    deadline = time.monotonic() + settings.MLSERVE_BATCH_SECONDS
    while time.monotonic() < deadline:
        time.sleep(_PAUSE_SECONDS)
        try:
            close_old_connections()
            wake_ups.clear_pending_wake_up()
        except (OperationalError, InterfaceError):
            continue
        log.warning("The database answers again")
        return True
    return False


def inspect_uploads() -> bool:
    """Inspect the direct upload that waited longest, and call for the next one; whether that is worth trying.

    One upload per task: each has the whole time limit, and a worker looks for predictions in between.
    """
    try:
        go_on = inspect_next(holder=heartbeat.worker_name())
    except BaseException:  # also django-q2's time limit, which is a SystemExit
        DirectUpload.objects.requeue_held_by([heartbeat.worker_name()], now=timezone.now())
        _call_inspector_if_wanted()
        raise
    if go_on:
        _call_inspector_if_wanted()
    return go_on


def _call_inspector_if_wanted() -> None:
    """Unless an inspection runs, for that calls for the next one when it has ended."""
    if DirectUpload.objects.queued().exists() and not DirectUpload.objects.inspecting().exists():
        wake_ups.call_inspector()


def sweep() -> dict[str, int]:
    """The sweep that django-q2 schedules; nothing where another process has begun one a moment ago.

    Its tasks pile up while all workers are busy, and then they all come at once.
    """
    return sweep_now() if wake_ups.claim_sweep() else {}


def sweep_now() -> dict[str, int]:
    """Take back what dead workers hold, expire what waited too long, apply retention, call for what waits.

    Payload objects without a row come last, because listing them asks the storage each time, which may hang.
    """
    now = timezone.now()
    heartbeat.see_living_workers()
    report_lost_files()
    counts = {
        "released": Prediction.objects.requeue_expired(now=now) + heartbeat.requeue_of_dead_workers(),
        "expired": Prediction.objects.expire(now=now),
        "deleted": delete_what_is_too_old(now=now),
    }
    Prediction.objects.redact_ended()
    heartbeat.forget_unseen(now=now)
    sweep_uploads(now=now)
    forget_callers()
    temporary_folders.delete_abandoned()
    _call_for_what_waits()
    totals.flush()
    counts["unreferenced"] = delete_unreferenced(now=now)
    if any(counts.values()):
        log.info(
            "Sweep: %(released)d released, %(expired)d expired, %(deleted)d deleted, "
            "%(unreferenced)d payloads without a row deleted",
            counts,
        )
    return counts


def start_worker(**_: Any) -> None:
    """Runs in each new worker process before it waits for tasks (django-q2's `post_spawn`)."""
    # Without its cluster it would wait for a task for ever, and it leaves SIGTERM to the cluster.
    cluster = multiprocessing.parent_process()
    end_with_parent(cluster.pid if cluster else None, by=signal.SIGKILL)
    try:
        introduce()
    except (OperationalError, InterfaceError) as error:
        log.error("A worker starts without the database: %s", error)  # noqa: TRY400
        _Late.is_unknown = True


def introduce() -> None:
    """What a predecessor of this host held is requeued, and what waits is called for, without waiting.

    It does not sweep, or the first task would wait for that: a cluster that starts looks at the schedule at once.
    """
    heartbeat.see_this_worker()
    wake_ups.clear_pending_wake_up()
    heartbeat.requeue_of_dead_workers()
    _call_for_what_waits()


def _call_for_what_waits() -> None:
    """Whatever became of the messages that were sent for it."""
    if Prediction.objects.queued().exists():
        wake_ups.call_worker()
    _call_inspector_if_wanted()
