"""Predict the golden rows of live versions in each new environment: one at a time, each in a process of its own.

So a version that hangs or ends its process harms no other one, and no prediction waits for it. Each host checks by
itself: a message could reach a host with other packages. `/readyz` reads the verdicts.

| what happens | outcome |
|---|---|
| the answers are the same, or differ | the process stores the verdict |
| it hangs, crashes, or runs out of memory | the parent process stores that; again after a while |
| the storage or the database is unreachable | nothing is stored; again after a minute |
| the service stops meanwhile | the process ends with it; checked again at the next start |
| two hosts with the same packages begin at once | both check, and store the same verdict |
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

# How often a newly promoted version, registered in another environment, is looked for.
_SEARCH_SECONDS = 15.0
_RETRY_SECONDS = 60.0
# A check may have failed for lack of memory or time, so it is repeated after this.
RECHECK_FAILED_AFTER = timedelta(minutes=10)
_POLL_SECONDS = 0.05
# Exit status of a check without a verdict, for which the version is not responsible (EX_TEMPFAIL).
_NO_VERDICT = 75
# The service is being stopped.
_ENDED_BY_SERVICE = (-signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP)


@dataclass(frozen=True)
class _Running:
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
        self._running: _Running | None = None

    def __call__(self) -> None:
        try:
            if self._running is not None:
                self._follow(self._running)
            elif CAN_FORK and self._clock() >= self._due:
                self._begin()
        except DatabaseError as error:
            log.warning("The versions without a golden check could not be read: %s", error)
            self._put_off(_RETRY_SECONDS)

    def check_one(self) -> None:
        """Blocks until the next version is checked, if there is one."""
        self()
        while self._running is not None:
            time.sleep(_POLL_SECONDS)
            self()

    def stop(self) -> None:
        """End a running check without a verdict."""
        if self._running is not None:
            self._running.process.kill_all()
            self._running = None

    def _begin(self) -> None:
        close_old_connections()
        version_id = _next_unchecked()
        if version_id is None:
            self._put_off(_SEARCH_SECONDS)
            return
        connections.close_all()  # no two processes may share one
        deadline = self._clock() + settings.MLSERVE_INSPECTION_SECONDS
        self._running = _Running(version_id, fork("golden", lambda: _check(version_id)), deadline)

    def _follow(self, running: _Running) -> None:
        status = running.process.poll()
        is_late = status is None and self._clock() > running.deadline
        if status is None and not is_late:
            return
        running.process.kill_all()  # also what the model's code has left behind
        self._running = None
        if status == _NO_VERDICT or status in _ENDED_BY_SERVICE:
            self._put_off(_RETRY_SECONDS)
        elif status != 0:
            _record_failure(running.version_id, _how_it_ended(status))

    def _put_off(self, seconds: float) -> None:
        self._due = self._clock() + seconds


def _next_unchecked() -> int | None:
    live = ModelVersion.objects.live().unchecked(failed_before=timezone.now() - RECHECK_FAILED_AFTER)
    return live.order_by("size_bytes", "pk").values_list("pk", flat=True).first()


def _check(version_id: int) -> None:
    """Runs in the check's process; exits with _NO_VERDICT when there is no verdict."""
    name_process("golden check")
    os.nice(10)  # predictions go first
    try:
        version = ModelVersion.objects.select_related("model").filter(pk=version_id).first()
        if version is not None and not verify(version).write_down():
            sys.exit(_NO_VERDICT)
    except DatabaseError as error:
        log.warning("The verdict on a version could not be stored: %s", error)
        sys.exit(_NO_VERDICT)


def _record_failure(version_id: int, detail: str) -> None:
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
        return f"Its process crashed: {signal.Signals(-status).name}."
    return f"It ended its process with status {status}."
