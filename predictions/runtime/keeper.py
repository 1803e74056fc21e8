"""The part `models` of `serve`: keeps the model host running, and has it load live versions before they are asked for.

It holds the connections that the host must not have, and is no parent of model processes: the host is executed anew.
"""

import logging
import signal
import subprocess
import threading
import time
from typing import Any

from django import db

from mlserve.observability.database_errors import trouble_of
from mlserve.observability.repeated_lines import log_again
from predictions.model_host.errors import HostUnavailable
from predictions.model_host.start import end_host, listen_at, start_host
from predictions.runtime import host_access, loaded_models
from predictions.runtime.golden_checks import check_live_versions
from predictions.runtime.warming import warm_models

log = logging.getLogger(__name__)

# How often a newly promoted version is looked for, and what had no verdict is tried again.
_SEARCH_SECONDS, _RETRY_SECONDS = 15.0, 60.0
_LOOK_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
# How often the host is asked whether it answers, and within which time it has to; libraries take seconds to import.
_ASK_SECONDS, _ANSWERS_WITHIN_SECONDS = 10.0, 20.0
# One that has run for so long is no sign that the next one will not.
_LONG_SECONDS = 60.0


class Keeper:
    """Of the host at the address that this process was given."""

    def __init__(self) -> None:
        self._listener = listen_at(host_access.given_address())
        self._deaths = 0
        # No Event: a signal handler must not touch a lock that its thread may hold.
        self._is_stopping = False

    def run(self) -> None:
        """Blocks until SIGTERM or SIGINT; then the host and all model processes end."""
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, self._stop)
        host = start_host(self._listener, host_access.host_options())
        threading.Thread(target=self._look_after_versions, name="live-versions", daemon=True).start()
        look_at = started_at = time.monotonic()
        try:
            while not self._is_stopping:
                time.sleep(_LOOK_SECONDS)
                if time.monotonic() > look_at + _ASK_SECONDS:
                    self._end_if_useless(host)
                    look_at = time.monotonic()
                if host.poll() is not None:
                    if time.monotonic() > started_at + _LONG_SECONDS:
                        self._deaths = 0
                    host, started_at = self._restarted(host), time.monotonic()
        finally:
            end_host(host)

    def _stop(self, *_: Any) -> None:
        self._is_stopping = True

    def _end_if_useless(self, host: "subprocess.Popen[bytes]") -> None:
        """One that does not answer, or that no client can find any more, because its socket was deleted."""
        address = host_access.given_address()
        if not address.exists():
            log.error("%s was deleted; starting the model host again with a new one", address)
            self._listener.close()
            self._listener = listen_at(address)
            host.kill()
            return
        try:
            host_access.client().state(timeout_seconds=_ANSWERS_WITHIN_SECONDS)
        except HostUnavailable:
            if host.poll() is None and not self._is_stopping:
                log.error("The model host is silent for %.0f s; ending it", _ANSWERS_WITHIN_SECONDS)  # noqa: TRY400
                host.kill()

    def _restarted(self, host: "subprocess.Popen[bytes]") -> "subprocess.Popen[bytes]":
        self._deaths += 1
        pause = min(0.1 * 2**self._deaths, _LONGEST_PAUSE_SECONDS)
        log.error("The model host ended (status %s); starting it again in %.1f s", host.returncode, pause)
        time.sleep(pause)
        loaded_models.forget_loaded()
        return start_host(self._listener, host_access.host_options())

    def _look_after_versions(self) -> None:
        while not self._is_stopping:
            seconds = _SEARCH_SECONDS
            try:
                if not check_live_versions(lambda: self._is_stopping):
                    seconds = _RETRY_SECONDS
                warm_models()
            except db.Error as error:
                trouble = trouble_of(error)
                line = f"Live versions cannot be read, so they are loaded when they are asked for: {error}"
                log_again(log, logging.WARNING, line, about=trouble.what if trouble else "")
                seconds = _RETRY_SECONDS
            except Exception:  # the thread has to go on
                log.exception("Live versions could not be looked after")
                seconds = _RETRY_SECONDS
            finally:
                db.connections.close_all()
            time.sleep(seconds)
