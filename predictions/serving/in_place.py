"""Predict for callers that wait without the queue: requests of a web process share calls of a model process.

A call costs about the same for one row and for some hundred. So whatever has gathered while the last call ran is the
next call, and its finished rows are stored together before any of its callers is answered.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import DataError, IntegrityError, connection
from django.utils import timezone

from mlserve.errors import Overloaded, Unavailable
from predictions.batching.micro_batching import CallEnded, MicroBatcher, Overfull, StillRuns
from predictions.batching.pace import Paces
from predictions.model_host.errors import CallLeft, HostUnavailable, ModelEnded
from predictions.models import Prediction, end_at_once
from predictions.models.completion import Completion
from predictions.runtime import incidents, loaded_models
from predictions.runtime.accounting import about_batch, count_stored
from predictions.runtime.execution import Work, execute
from predictions.runtime.loaded_models import NotLoaded
from predictions.serving.recording import record
from predictions.store.waiting import MOST_WAITING
from registry.models import ModelVersion
from registry.schema.record import Row

log = logging.getLogger(__name__)

# Who comes or waits while a call runs for longer is served sooner by a worker than by the next call.
_LONG_CALL_SECONDS = 2.0
# Of versions, as the calls of this process have met them.
paces = Paces()


@dataclass
class _Waiting:
    """A request in line. It may stop waiting and queue the prediction, so that a call only notes how to `end` it."""

    prediction: Prediction
    work: Work
    end: Callable[[], None] | None = None
    is_refused: bool = False


def fits_in_place(version: ModelVersion, rows: Sequence[Row]) -> bool:
    """Whether the request is better predicted here than by a worker.

    Very large requests would hold up the small ones, and large artifacts take long to load. While a call takes long, a
    worker is sooner ready. Versions that hung are left to the workers, which call them one prediction at a time.
    """
    return (
        version.size_bytes <= settings.MLSERVE_IN_PLACE_BYTES
        and len(rows) <= _most_own_rows(version.pk)
        and shared_calls.seconds_in_call(version.pk) < min(settings.MLSERVE_BATCH_SECONDS, _LONG_CALL_SECONDS)
        and version.pk not in incidents.standing().not_in_web
        and version.pk not in loaded_models.unreachable.paused()
    )


def _most_own_rows(version_id: int) -> int:
    """That one request may have. They cannot be divided among calls, so nearly all of the time is theirs."""
    limit_seconds, most = settings.MLSERVE_BATCH_SECONDS, settings.MLSERVE_CALL_ROWS
    return paces.rows_within(version_id, limit_seconds, at_first=settings.MLSERVE_BATCH_ROWS, most=most, share=0.8)


def _most_rows(version_id: Any) -> int:
    """That a call of several requests may have. All that are allowed, as long as nothing is known of it."""
    most: int = settings.MLSERVE_BATCH_ROWS
    return paces.rows_within(version_id, settings.MLSERVE_BATCH_SECONDS, at_first=most, most=most)


def predict_in_place(prediction: Prediction, rows: Sequence[Row], *, timeout_seconds: float) -> bool:
    """Predict, and store the ended prediction; False when that is left to the workers: nothing is stored then.

    It is when the time ran out first, when the artifact cannot be had at the moment, or when the model's process hung
    or ended. Raises Overloaded when too many wait already.
    """
    version = prediction.version
    waiting = _Waiting(prediction, Work(prediction.pk, rows, prediction.outputs))
    try:
        is_settled = shared_calls.submit(
            waiting,
            key=version.pk,
            weight=len(rows),
            timeout_seconds=timeout_seconds,
            is_alone=not version.is_batchable,
        )
    except CallEnded as error:
        log.warning("A prediction of %s is left to the workers: %s", version, str(error).partition("\n")[0])
        return False
    except HasToWait as error:
        log.warning("%s waits: %s", version, error)
        return False
    except Overfull as error:
        raise Overloaded(f"{error}. Nothing was stored; try again in a moment, or without `Prefer: wait`.") from error
    if waiting.is_refused:
        _record_ended([prediction])
    return is_settled


def approaching() -> AbstractContextManager[None]:
    """Around the rest of a request that may be predicted here, once its body is complete: calls wait for it."""
    return shared_calls.approach()


class HasToWait(Exception):
    """The artifact's storage or the model host does not answer in time."""


def _call_for_all(batch: Sequence[_Waiting]) -> None:
    """In the thread of a line."""
    try:
        _call(batch)
    finally:
        connection.close()  # it needs one to load a version or to report an incident only


def _call_here(waiting: _Waiting, seconds: float) -> bool:
    """In the thread of the request, which waits no longer than `seconds`. False when the version has to be loaded."""
    try:
        _call([waiting], leave_after=seconds)
    except NotLoaded:
        return False
    except CallLeft as left:
        raise StillRuns(partial(_await_end, waiting.prediction.version, left)) from None
    return True


def _await_end(version: ModelVersion, left: CallLeft) -> None:
    """Nobody waits for the answer any more, but if its process hangs or ends, that is to be known."""
    try:
        with suppress(ModelEnded, HostUnavailable), incidents.reported(version):
            left.end()
    finally:
        connection.close()


def _call(batch: Sequence[_Waiting], *, leave_after: float = inf) -> None:
    started_at = timezone.now()
    version = batch[0].prediction.version
    with about_batch([waiting.prediction for waiting in batch], begun_at=started_at):
        try:
            completions = execute(version, [waiting.work for waiting in batch], leave_after=leave_after)
        except Unavailable as error:
            raise HasToWait(error.detail) from error
    by_id = {completion.prediction_id: completion for completion in completions}
    _note_pace(version, batch, by_id)
    now = timezone.now()
    for waiting in batch:
        completion = by_id[waiting.prediction.pk]
        waiting.end = partial(end_at_once, waiting.prediction, completion, started_at=started_at, now=now)


def _note_pace(version: ModelVersion, batch: Sequence[_Waiting], by_id: Mapping[UUID, Completion]) -> None:
    """Without the loading; those that asked for the same outputs shared their calls."""
    by_outputs = {waiting.work.outputs: by_id[waiting.prediction.pk].predict_seconds for waiting in batch}
    seconds, rows = sum(by_outputs.values()), sum(len(waiting.work.rows) for waiting in batch)
    paces.record(version.pk, rows=rows, seconds=seconds, call_seconds=seconds)


def _settle(batch: Sequence[_Waiting]) -> None:
    for waiting in batch:
        if waiting.end is not None:
            waiting.end()
    try:
        _record_ended([waiting.prediction for waiting in batch])
    except (DataError, IntegrityError):
        for waiting in batch:
            waiting.is_refused = True  # one bad row among them; alone, only its own caller is refused


def _record_ended(predictions: Sequence[Prediction]) -> None:
    record(predictions)
    count_stored(predictions)


# Of this process.
shared_calls: MicroBatcher[_Waiting] = MicroBatcher(
    _call_for_all,
    _settle,
    call_here=_call_here,
    most_waiting=MOST_WAITING,
    most_weight=_most_rows,
    long_call_seconds=_LONG_CALL_SECONDS,
)
