"""Looks after the calls of a web process: what hangs there is noted, and the process makes room for another one.

A worker has its cluster for that. A web process must not be ended in the midst of others' requests: it is asked to
stop, so it answers what it has, and the web server starts another one.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable

from django.conf import settings
from django.db import connection

from predictions.runtime import call_marker, incidents
from predictions.serving.in_place import send_away_from_a_long_call, shared_calls, version_in_call
from registry.models.incident import Kind

log = logging.getLogger(__name__)

_EVERY_SECONDS = 1.0
# A library that keeps the interpreter to itself stops everything, so that no request could leave either.
_FROZEN_BEYOND_SECONDS = 5.0
# After the web server has waited for all requests, and something still keeps the process.
_LEAVE_BEYOND_SECONDS = 30.0


class Watchdog:
    """One thread of a web process, for as long as it lives."""

    def __init__(self, *, leave: Callable[[], None] | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._leave, self._clock = leave or _ask_to_stop, clock
        self._left_at: float | None = None

    def start(self) -> None:
        threading.Thread(target=self._watch_for_ever, name="watchdog", daemon=True).start()

    def look(self) -> None:
        """Once; the thread does it every second."""
        call_marker.end_if_frozen(settings.MLSERVE_BATCH_SECONDS + _FROZEN_BEYOND_SECONDS)
        call_marker.renew()
        incidents.standing()
        send_away_from_a_long_call()
        if self._left_at is None:
            self._look_at_call()
        elif self._clock() > self._left_at + settings.MLSERVE_MAX_WAIT + _LEAVE_BEYOND_SECONDS:
            os._exit(1)

    def _look_at_call(self) -> None:
        version, limit = version_in_call(), settings.MLSERVE_BATCH_SECONDS
        if version is None or shared_calls.seconds_in_call() <= limit:
            return
        incidents.report(version.pk, Kind.HUNG, f"A web process waited for it for longer than {limit} s.")
        log.error("This web process cannot get rid of the call of %s; another one takes its place", version)
        call_marker.forget()
        self._left_at = self._clock()
        self._leave()

    def _watch_for_ever(self) -> None:
        while True:
            try:
                self.look()
            except Exception:  # the last one that looks after this process must not end
                log.exception("The watchdog could not look")
            finally:
                connection.close()
            time.sleep(_EVERY_SECONDS)


def _ask_to_stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
