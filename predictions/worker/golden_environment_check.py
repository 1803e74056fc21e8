"""Live versions, asked their golden rows in each new environment: one at a time, each by a process of its own.

A version that hangs or ends its process harms no other one that way, and no prediction waits for it. Each host asks
for itself, so that a message for it cannot end at a host with other packages. `/readyz` reads what was found.

| what happens | completion |
|---|---|
| the answers are the same, or differ | the process writes it down |
| it hangs, crashes, or runs out of memory | the parent process writes that down; again after a while |
| the storage or the database is unreachable | nothing is written down; again after a minute |
| the service stops meanwhile | the process ends with it; asked again at the next start |
| two hosts with the same packages begin at once | both ask, and write down the same |
"""

import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections, connections
from django.utils import timezone

from mlserve.observability.logs import name_process
from mlserve.processes.children import CAN_FORK, Child, fork
from predictions.runtime.golden_rerun import verify
from registry.models import GoldenCheck, ModelVersion

log = logging.getLogger(__name__)

# A version that was promoted a moment ago, and was registered in another environment, is noticed so soon.
_LOOK_EVERY_SECONDS = 15.0
_LATER_SECONDS = 60.0
# What failed may have failed for want of memory or time, which may come back.
FAILED_RESTS = timedelta(minutes=10)
_POLL_SECONDS = 0.05
# The process could not find out, and the version is not to blame (EX_TEMPFAIL).
_NOT_NOW = 75
# The service is being stopped.
_ENDED_BY_US = (-signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP)


@dataclass(frozen=True)
class _Asking:
    version_id: int
    process: Child
    deadline: float


class GoldenChecks:
    """Call it often: it returns at once, and begins or ends a check when that is due. Linux only, for it forks.

    The process that calls it must have no other thread and no loaded pipeline.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due = clock()
        self._asking: _Asking | None = None

    def __call__(self) -> None:
        try:
            if self._asking is not None:
                self._look_after(self._asking)
            elif CAN_FORK and self._clock() >= self._due:
                self._begin()
        except DatabaseError as error:
            log.warning("It is not known which versions are to be asked again: %s", error)
            self._put_off(_LATER_SECONDS)

    def check_one(self) -> None:
        """Blocks until the next version was asked, if there is one."""
        self()
        while self._asking is not None:
            time.sleep(_POLL_SECONDS)
            self()

    def stop(self) -> None:
        """End what runs; nothing is written down about it."""
        if self._asking is not None:
            self._asking.process.kill_all()
            self._asking = None

    def _begin(self) -> None:
        close_old_connections()
        version_id = _next_unchecked()
        if version_id is None:
            self._put_off(_LOOK_EVERY_SECONDS)
            return
        connections.close_all()  # no two processes may share one
        deadline = self._clock() + settings.MLSERVE_INSPECTION_SECONDS
        self._asking = _Asking(version_id, fork("golden", lambda: _ask(version_id)), deadline)

    def _look_after(self, asking: _Asking) -> None:
        status = asking.process.poll()
        is_late = status is None and self._clock() > asking.deadline
        if status is None and not is_late:
            return
        asking.process.kill_all()  # also what the model's code has left behind
        self._asking = None
        if status == _NOT_NOW or status in _ENDED_BY_US:
            self._put_off(_LATER_SECONDS)
        elif status != 0:
            _note_failure(asking.version_id, _how_it_ended(status))

    def _put_off(self, seconds: float) -> None:
        self._due = self._clock() + seconds


def _next_unchecked() -> int | None:
    live = ModelVersion.objects.live().unchecked(failed_before=timezone.now() - FAILED_RESTS)
    return live.order_by("size_bytes", "pk").values_list("pk", flat=True).first()


def _ask(version_id: int) -> None:
    """Runs in the process of its own, whose exit status tells whether it wrote something down."""
    name_process("golden check")
    os.nice(10)  # predictions go first
    try:
        version = ModelVersion.objects.select_related("model").filter(pk=version_id).first()
        if version is not None and not verify(version).write_down():
            sys.exit(_NOT_NOW)
    except DatabaseError as error:
        log.warning("What a version answers here could not be written down: %s", error)
        sys.exit(_NOT_NOW)


def _note_failure(version_id: int, detail: str) -> None:
    version = ModelVersion.objects.select_related("model").only("tag", "model__name").filter(pk=version_id).first()
    if version is not None:
        log.error("%s cannot be asked in this environment. %s", version, detail)
        GoldenCheck.objects.record(version, GoldenCheck.Verdict.FAILED, detail=detail, now=timezone.now())


def _how_it_ended(status: int | None) -> str:
    if status is None:
        return f"It did not answer within {settings.MLSERVE_INSPECTION_SECONDS} s (MLSERVE_INSPECTION_SECONDS)."
    if status == -signal.SIGKILL:
        return "Its process was killed, most likely because the machine ran out of memory."
    if status < 0:
        return f"It took its process along: {signal.Signals(-status).name}."
    return f"It ended its process with status {status}."
