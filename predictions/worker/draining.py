"""A worker's work: claim, predict and finish batch by batch, until nothing is left that may be tried now.

When the storage or the database is unreachable, predictions are requeued without having used an attempt.
"""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from uuid import UUID

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError, close_old_connections, connection
from django.utils import timezone

from mlserve.errors import Unavailable
from mlserve.http.problems import stored_problem
from predictions.batching.pace import FIRST_ROWS, Paces
from predictions.models import Prediction, payloads
from predictions.models.completion import Completion
from predictions.queue import heartbeat, wake_ups
from predictions.runtime import call_marker, incidents, loaded_models
from predictions.runtime.accounting import about_batch, count_finished
from predictions.runtime.execution import Work, execute
from predictions.worker.claiming import Precedence, claim
from predictions.worker.wake_up_listener import WakeUpListener
from registry.models import ModelVersion
from registry.models.incident import Kind

log = logging.getLogger(__name__)

# Of versions, as this worker has met them.
paces = Paces()
# Under load that never ends, versions apart get a turn so often.
_TURN_EVERY_SECONDS = 30.0
# For how long results wait for an unreachable database, before they are computed again.
_PATIENCE_SECONDS, _PAUSE_SECONDS = 30.0, 1.0
_AWAY = (OperationalError, InterfaceError)


class _State:
    """Of this worker, which has one thread that drains."""

    last_turn = time.monotonic()
    # The version whose artifact and rows are being fetched, and whether its results wait for the database. A time limit
    # that strikes then is no fault of the prediction's.
    fetching: int | None = None
    waits_for_database = False
    # Rows are claimed in this worker's name that it could not give back.
    holds_leftovers = False


def drain(
    deadline: float | None = None,
    attendance: WakeUpListener | None = None,
    *,
    limit: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> int:
    """Predict whatever is queued, batch by batch, until nothing is left or the time is up; how many ended.

    1. claim    2. call other workers, if that leaves them something    3. fetch what lies in the storage    4. execute
    5. finish    6. again; when the time is up, call another worker

    `limit` stands around each execution, for a process that no guard replaces when it hangs.
    """
    ended = 0
    try:
        _give_back_leftovers()
        while batch := _claim():
            _share_work(batch, attendance)
            with limit(), about_batch(batch, begun_at=timezone.now()):
                completions = _execute(batch, attendance)
            ended += _finish(batch, completions)
            if deadline is not None and time.monotonic() > deadline:
                wake_ups.call_worker()
                break
    except BaseException as error:  # also django-q2's time limit, which is a SystemExit
        if attendance is not None:
            attendance.stop_listening()  # this worker will look at the table no more
        _requeue_held(error)
        wake_ups.call_worker()
        raise
    return ended


def seconds_to_next_try() -> float | None:
    """Until what is unreachable is tried again; None when no prediction waits for it."""
    pauses = [
        each for each in (loaded_models.unreachable.seconds_left(), payloads.away.seconds_left()) if each is not None
    ]
    return min(pauses) if pauses and Prediction.objects.queued().exists() else None


def _claim() -> list[Prediction]:
    unreachable, now = loaded_models.unreachable, time.monotonic()
    precedence = Precedence(
        quarantined=incidents.standing().quarantined | unreachable.failing(),
        paused=unreachable.paused(),
        is_storage_resting=bool(payloads.away.paused()),
    )
    # What was unreachable is tried as soon as its pause has ended, whatever else waits, for it may answer again.
    is_due = bool(unreachable.failing() - unreachable.paused()) or now > _State.last_turn + _TURN_EVERY_SECONDS
    batch = claim(
        holder=heartbeat.worker_name(),
        now=timezone.now(),
        precedence=precedence,
        is_turn_of_quarantined=is_due,
        most_rows=_most_rows,
    )
    if batch and batch[0].version_id in precedence.quarantined:
        _State.last_turn = now
    return batch


def _most_rows(version_id: int) -> int:
    return paces.rows_within(
        version_id, settings.MLSERVE_BATCH_SECONDS, at_first=FIRST_ROWS, most=settings.MLSERVE_BATCH_ROWS
    )


def _share_work(batch: Sequence[Prediction], attendance: WakeUpListener | None) -> None:
    version = batch[0].version
    is_quick = paces.is_quick(version.pk) and version.pk not in incidents.standing().quarantined
    is_full = sum(prediction.row_count for prediction in batch) >= _most_rows(version.pk)
    if attendance is not None and not is_quick:
        attendance.stop_listening()
    if (is_full or not is_quick) and Prediction.objects.queued().exists():
        wake_ups.call_worker(beside=heartbeat.host_name() if attendance is not None and is_quick else "")


def _execute(batch: Sequence[Prediction], attendance: WakeUpListener | None) -> list[Completion]:
    """Outcomes of what could be tried; the others went back."""
    version, started = batch[0].version, time.monotonic()
    with attendance.call() if attendance else nullcontext():
        try:
            works, completions = _fetched(batch)
            fetched = time.monotonic()
            completions += execute(version, works)
        except Unavailable as error:
            _State.fetching = None
            log.warning("%s waits for the storage: %s", version, error.detail)
            _give_back([prediction.pk for prediction in batch])
            return []
    ended = time.monotonic()
    called_rows = sum(len(work.rows) for work in works)
    paces.record(version.pk, rows=called_rows, seconds=ended - started, call_seconds=ended - fetched)
    return completions


def _fetched(batch: Sequence[Prediction]) -> tuple[list[Work], list[Completion]]:
    """What can be executed, with the pipeline in memory, and the completions of those whose rows are lost.

    Those whose rows cannot be had at the moment go back. Raises Unavailable when the pipeline cannot be had.
    """
    works, lost, waiting = [], [], []
    _State.fetching = batch[0].version_id
    for prediction in batch:
        try:
            works.append(Work.of(prediction))
        except Unavailable as error:
            if error.may_pass:
                waiting.append(prediction.pk)
            else:
                lost.append(Completion(prediction.pk, error=stored_problem(error)))
    _give_back(waiting)
    if works:
        _load(batch[0].version)
    _State.fetching = None
    return works, lost


def _load(version: ModelVersion) -> None:
    try:
        loaded_models.load(version)
    except Unavailable as error:
        if error.may_pass:
            raise


def _finish(batch: Sequence[Prediction], completions: Sequence[Completion]) -> int:
    """How many ended. It waits for an unreachable database, because the results would have to be computed again."""
    holder, deadline = heartbeat.worker_name(), time.monotonic() + _PATIENCE_SECONDS
    completions = [completion.with_kept_result() for completion in completions]
    while True:
        try:
            now = timezone.now()
            count = Prediction.objects.finish(completions, holder=holder, now=now)
            _State.waits_for_database = False
            count_finished(batch, completions, count=count, now=now)
            return count
        except Unavailable as error:
            log.warning("Results wait for the storage: %s", error.detail)
            _give_back([completion.prediction_id for completion in completions])
            return 0
        except _AWAY as error:
            if time.monotonic() > deadline:
                raise
            log.warning("Results wait for the database: %s", error)
            _State.waits_for_database = True
            _drop_broken_connection()
            time.sleep(_PAUSE_SECONDS)


def _give_back(ids: Sequence[UUID]) -> None:
    if ids:
        Prediction.objects.requeue_without_attempt(holder=heartbeat.worker_name(), ids=ids)


def _requeue_held(error: BaseException) -> None:
    """Requeue what is claimed; it has used an attempt unless a part of the service was unreachable."""
    is_waiting = _State.fetching is not None or _State.waits_for_database
    is_nobodys_fault = isinstance(error, _AWAY) or (is_waiting and not isinstance(error, Exception))
    version_id, now = _interrupted(error), timezone.now()
    if version_id is not None:
        limit = settings.MLSERVE_BATCH_SECONDS
        incidents.report(version_id, Kind.HUNG, f"A worker waited for it for longer than {limit} s.")
        is_nobodys_fault = False
    _State.fetching, _State.waits_for_database = None, False
    try:
        _drop_broken_connection()
        if is_nobodys_fault:
            Prediction.objects.requeue_without_attempt(holder=heartbeat.worker_name())
        else:
            Prediction.objects.requeue_held_by([heartbeat.worker_name()], now=now)
    except DatabaseError as also:
        log.warning("What this worker had claimed stays claimed until the database answers: %s", also)
        _State.holds_leftovers = True


def _interrupted(error: BaseException) -> int | None:
    """The version whose call or load has taken too long, if one has."""
    version_id, fetching = call_marker.take_interrupted(), _State.fetching
    is_loaded_beside = fetching is not None and call_marker.is_loading(fetching)
    if version_id is None and is_loaded_beside and not isinstance(error, Exception):
        return fetching  # this thread only waited for the one that loads versions in advance
    return version_id


def _drop_broken_connection() -> None:
    """So that the next statement makes a new one. One that a caller's transaction uses stays."""
    if not connection.in_atomic_block:
        close_old_connections()


def _give_back_leftovers() -> None:
    if _State.holds_leftovers:
        Prediction.objects.requeue_without_attempt(holder=heartbeat.worker_name())
        _State.holds_leftovers = False
