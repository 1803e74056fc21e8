"""Messages of the queue as Lambda brings them, and its schedule: what the cluster is elsewhere.

All messages of a delivery that ask for the same mean the same, "look at the table", so each task runs once however
many do. Nothing escapes but the ids of messages that failed: the queue brings those again, and puts them aside after a
few times. No prediction depends on that, for leases and the sweep decide about predictions.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.conf import settings
from django.db import close_old_connections

from mlserve.aws_lambda.time_limit import GRACE_SECONDS, TimeLimitReached, time_limit
from predictions import tasks
from predictions.metrics import totals
from predictions.queue import heartbeat, wake_ups
from predictions.runtime.golden_checks import check_live_versions

log = logging.getLogger(__name__)

# Beside the work itself: to load libraries, to write results, and to end before Lambda ends the process.
_MARGIN_SECONDS = GRACE_SECONDS + 10

SecondsLeft = Callable[[], float]


@dataclass(frozen=True)
class _Task:
    """What to run with the seconds that it may take, and below how many of them it must not begin."""

    run: Callable[[float], object]
    least_seconds: Callable[[], float]


def handle_records(event: Mapping[str, Any], context: Any) -> dict[str, list[dict[str, str]]]:
    """Lambda's event of an SQS queue → its partial batch response. Raises nothing.

    The mapping must ask for ReportBatchItemFailures, or a failed message counts as done.
    """
    failed = deliver(event["Records"], lambda: context.get_remaining_time_in_millis() / 1000)
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


def handle_schedule() -> None:
    """The minute's sweep. Raises nothing; what went wrong is logged, and the next minute's tries again."""
    _is_done("The sweep", _sweep)


def deliver(records: Iterable[Mapping[str, Any]], seconds_left: SecondsLeft) -> list[str]:
    """Do what the records ask for, each task once; the ids of the messages that failed. Raises nothing.

    `records` are SQS records (`messageId`, `body`); `seconds_left` tells when the caller will be ended.
    """
    asked, failed = _read(records)
    for name, task in _TASKS.items():
        if asked[name] and not _is_done(f"Task {name!r}", partial(_run, task, seconds_left)):
            failed += asked[name]
    return failed


def _read(records: Iterable[Mapping[str, Any]]) -> tuple[defaultdict[str, list[str]], list[str]]:
    """Message ids by the name of the task that they ask for, and those that ask for none of ours."""
    asked: defaultdict[str, list[str]] = defaultdict(list)
    foreign: list[str] = []
    for record in records:
        message_id = str(record.get("messageId"))
        try:
            name = wake_ups.task_asked_for(record.get("body"))
        except Exception as error:  # noqa: BLE001 - its sender decides what a message contains
            name = None
            log.error("Message %s cannot be read: %s", message_id, type(error).__name__)  # noqa: TRY400
        if name is None:
            log.error("Message %s is not one of ours: not signed with this SECRET_KEY, or another task", message_id)
            foreign.append(message_id)
        else:
            asked[name].append(message_id)
    return asked, foreign


def _run(task: _Task, seconds_left: SecondsLeft) -> None:
    seconds, least = seconds_left() - _MARGIN_SECONDS, task.least_seconds()
    if seconds < least:
        raise TimeoutError(
            f"{seconds + _MARGIN_SECONDS:.0f} s are left, {least + _MARGIN_SECONDS:.0f} s may be needed; not begun. "
            "If this happens often, raise the function's timeout."
        )
    task.run(seconds)


def _attend(seconds: float) -> None:
    """Like `tasks.attend`, but without listening, for no submission reaches this process."""
    batch_seconds: int = settings.MLSERVE_BATCH_SECONDS
    wake_ups.clear_pending_wake_up()
    tasks.drain(time.monotonic() + seconds - batch_seconds)
    totals.flush_if_due(after_seconds=0)


def _inspect(seconds: float) -> None:
    with time_limit(seconds):
        tasks.inspect_uploads()


# In the order in which they run: predictions wait for a shorter time than uploads do.
_TASKS: Mapping[str, _Task] = {
    "attend": _Task(_attend, lambda: settings.MLSERVE_BATCH_SECONDS),
    "inspect": _Task(_inspect, lambda: settings.MLSERVE_INSPECTION_SECONDS),
}


def _sweep() -> None:
    heartbeat.see_this_worker()
    tasks.sweep_now()
    check_live_versions()


def _is_done(what: str, work: Callable[[], object]) -> bool:
    """Whether it ran. A connection that broke while the function was frozen is replaced before."""
    try:
        close_old_connections()
        work()
        close_old_connections()
    except TimeLimitReached as reached:
        # The row is back in the queue, has used an attempt, and a worker was called for it.
        log.error("%s was ended: %s", what, reached)  # noqa: TRY400
    except BaseException:  # the boundary of the process; also SystemExit, which a model may raise
        log.exception("%s failed", what)
        return False
    return True
