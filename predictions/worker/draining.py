"""A worker's work: claim, predict and finish batch by batch, until nothing is left that may be tried now.

When the storage or the database is unreachable, predictions are requeued without having used an attempt.
"""

import logging
import time
from collections.abc import Sequence
from contextlib import nullcontext
from uuid import UUID

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError, close_old_connections, connection
from django.utils import timezone

from mlserve.errors import Unavailable
from mlserve.http.problems import stored_problem
from predictions.batching.pace import FIRST_ROWS, Paces
from predictions.model_host.errors import ModelEnded
from predictions.models import Prediction, payloads
from predictions.models.completion import Completion
from predictions.queue import heartbeat, wake_ups
from predictions.runtime import incidents, loaded_models
from predictions.runtime.accounting import about_batch, count_finished
from predictions.runtime.execution import Work, execute
from predictions.worker import stopping
from predictions.worker.claiming import Precedence, claim
from predictions.worker.wake_up_listener import WakeUpListener
from registry.models import ModelVersion

log = logging.getLogger(__name__)

# How fast each version was in this worker.
paces = Paces()
# Quarantined versions get a turn although others wait: a tenth of the time, and at least one within the longest pause.
_PAUSE_PER_SECOND_OF_TURN, _SHORTEST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 9.0, 1.0, 30.0
# How long results wait for an unreachable database before they are given up and computed again.
_LONGEST_WAIT_SECONDS, _PAUSE_SECONDS = 30.0, 1.0
_UNREACHABLE_DATABASE = (OperationalError, InterfaceError)


class _State:
    """The state of this worker, in which one thread drains."""

    # Of quarantined versions.
    turn_began_at: float | None = None
    next_turn_at = time.monotonic() + _LONGEST_PAUSE_SECONDS
    # Whether an artifact or rows are being fetched, or results wait for the database. A time limit that ends one of
    # them is not caused by the prediction.
    is_fetching = False
    waits_for_database = False
    # Rows are claimed by this worker that it could not requeue.
    has_claimed_rows = False


def drain(
    deadline: float | None = None,
    listener: WakeUpListener | None = None,
) -> int:
    """Predict what is queued, batch by batch, until nothing is left or the time is up; how many ended.

    1. claim    2. call other workers, if anything is left for them    3. fetch rows from the storage    4. execute
    5. finish    6. again; when the time is up, call another worker

    """
    ended = 0
    try:
        _requeue_remaining()
        while not stopping.is_asked() and (batch := _claim()):
            _share_work(batch, listener)
            with about_batch(batch, begun_at=timezone.now()):
                completions = _execute(batch, listener)
            ended += _finish(batch, completions)
            if deadline is not None and time.monotonic() > deadline:
                wake_ups.call_worker()
                break
    except BaseException as error:  # also django-q2's time limit, which is a SystemExit
        if listener is not None:
            listener.stop_listening()  # this worker will not read the table again
        _requeue_held(error)
        wake_ups.call_worker()
        raise
    return ended


def seconds_to_next_try() -> float | None:
    """Until what is unreachable is tried again; None when no prediction waits for it."""
    pauses = [
        each
        for each in (loaded_models.unreachable.seconds_left(), payloads.unreachable.seconds_left())
        if each is not None
    ]
    return min(pauses) if pauses and Prediction.objects.queued().exists() else None


def _claim() -> list[Prediction]:
    unreachable, now = loaded_models.unreachable, time.monotonic()
    _end_turn(now)
    precedence = Precedence(
        quarantined=incidents.standing().quarantined | unreachable.failing(),
        paused=unreachable.paused(),
        is_storage_paused=bool(payloads.unreachable.paused()),
    )
    # What was unreachable is tried as soon as its pause has ended, even if others wait, because it may answer again.
    is_due = bool(unreachable.failing() - unreachable.paused()) or now >= _State.next_turn_at
    batch = claim(
        holder=heartbeat.worker_name(),
        now=timezone.now(),
        precedence=precedence,
        is_turn_of_quarantined=is_due,
        most_rows=_most_rows,
    )
    if batch and batch[0].version_id in precedence.quarantined:
        _State.turn_began_at = now
    return batch


def _end_turn(now: float) -> None:
    if _State.turn_began_at is not None:
        pause = _PAUSE_PER_SECOND_OF_TURN * (now - _State.turn_began_at)
        _State.next_turn_at = now + min(max(pause, _SHORTEST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS)
        _State.turn_began_at = None


def _most_rows(version_id: int) -> int:
    return paces.rows_within(
        version_id, settings.MLSERVE_BATCH_SECONDS, at_first=FIRST_ROWS, most=settings.MLSERVE_BATCH_ROWS
    )


def _share_work(batch: Sequence[Prediction], listener: WakeUpListener | None) -> None:
    version = batch[0].version
    is_quick = paces.is_quick(version.pk) and version.pk not in incidents.standing().quarantined
    is_full = sum(prediction.row_count for prediction in batch) >= _most_rows(version.pk)
    if listener is not None and not is_quick:
        listener.stop_listening()
    if (is_full or not is_quick) and Prediction.objects.queued().exists():
        wake_ups.call_worker(beside=heartbeat.host_name() if listener is not None and is_quick else "")


def _execute(batch: Sequence[Prediction], listener: WakeUpListener | None) -> list[Completion]:
    """Completions of the predictions that could be tried; the others are requeued."""
    version, started = batch[0].version, time.monotonic()
    with listener.call() if listener else nullcontext():
        try:
            works, completions = _fetched(batch)
            fetched = time.monotonic()
            completions += execute(version, works)
        except Unavailable as error:
            _State.is_fetching = False
            log.warning("%s waits: %s", version, error.detail)
            _requeue([prediction.pk for prediction in batch])
            return []
        except ModelEnded as error:
            _State.is_fetching = False
            log.warning("A call of %s is repeated: %s", version, error.detail.partition("\n")[0])
            Prediction.objects.requeue_held_by([heartbeat.worker_name()], now=timezone.now())
            return []
    ended = time.monotonic()
    called_rows = sum(len(work.rows) for work in works)
    paces.record(version.pk, rows=called_rows, seconds=ended - started, call_seconds=ended - fetched)
    return completions


def _fetched(batch: Sequence[Prediction]) -> tuple[list[Work], list[Completion]]:
    """What can be executed, with the pipeline in a process, and the completions of those whose rows are lost.

    Those whose rows are unreachable at the moment are requeued. Raises Unavailable when the pipeline is.
    """
    works, lost, waiting = [], [], []
    _State.is_fetching = True
    for prediction in batch:
        try:
            works.append(Work.of(prediction))
        except Unavailable as error:
            if error.may_pass:
                waiting.append(prediction.pk)
            else:
                lost.append(Completion(prediction.pk, error=stored_problem(error)))
    _requeue(waiting)
    if works:
        _load(batch[0].version)
    _State.is_fetching = False
    return works, lost


def _load(version: ModelVersion) -> None:
    try:
        with incidents.reported(version):
            loaded_models.load(version)
    except Unavailable as error:
        if error.may_pass:
            raise


def _finish(batch: Sequence[Prediction], completions: Sequence[Completion]) -> int:
    """How many ended. It waits for an unreachable database, because the results would have to be computed again."""
    holder, deadline = heartbeat.worker_name(), time.monotonic() + _LONGEST_WAIT_SECONDS
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
            _requeue([completion.prediction_id for completion in completions])
            return 0
        except _UNREACHABLE_DATABASE as error:
            if time.monotonic() > deadline:
                raise
            log.warning("Results wait for the database: %s", error)
            _State.waits_for_database = True
            _drop_broken_connection()
            time.sleep(_PAUSE_SECONDS)


def _requeue(ids: Sequence[UUID]) -> None:
    if ids:
        Prediction.objects.requeue_without_attempt(holder=heartbeat.worker_name(), ids=ids)


def _requeue_held(error: BaseException) -> None:
    """Requeue what is claimed; it has used an attempt unless a part of the service was unreachable."""
    is_waiting = _State.is_fetching or _State.waits_for_database
    keeps_attempt = isinstance(error, _UNREACHABLE_DATABASE) or (is_waiting and not isinstance(error, Exception))
    _State.is_fetching, _State.waits_for_database = False, False
    try:
        _drop_broken_connection()
        if keeps_attempt:
            Prediction.objects.requeue_without_attempt(holder=heartbeat.worker_name())
        else:
            Prediction.objects.requeue_held_by([heartbeat.worker_name()], now=timezone.now())
    except DatabaseError as also:
        log.warning("The predictions of this worker stay claimed until the database answers: %s", also)
        _State.has_claimed_rows = True


def _drop_broken_connection() -> None:
    """Close it, so that the next statement makes a new one, unless a transaction of the caller uses it."""
    if not connection.in_atomic_block:
        close_old_connections()


def _requeue_remaining() -> None:
    if _State.has_claimed_rows:
        Prediction.objects.requeue_without_attempt(holder=heartbeat.worker_name())
        _State.has_claimed_rows = False
