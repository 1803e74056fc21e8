"""Versions that hung or ended their process: recorded, and quarantined in every process within seconds."""

import logging
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import IntegrityError
from django.utils import timezone

from predictions.queue.heartbeat import worker_name
from predictions.runtime import call_marker
from predictions.runtime.call_marker import LeftBehind
from registry.models import Incident
from registry.models.incident import Kind, Seen, Standing, standing_of

log = logging.getLogger(__name__)

# A request asks the database at most so often; what this process found out itself it knows at once.
_FRESH_SECONDS = 2.0
_LONGEST_DUMP = 2_000


class _Known:
    """The standing of versions as last read, and what could not be written yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._standing = Standing()
        self._unwritten: list[Incident] = []
        self._due = 0.0

    def standing(self) -> Standing:
        if time.monotonic() >= self._due and self._lock.acquire(blocking=False):
            try:
                self._due = time.monotonic() + _FRESH_SECONDS
                self._refresh()
            finally:
                self._lock.release()
        return self._standing

    def add(self, incident: Incident) -> None:
        with self._lock:
            self._unwritten.append(incident)
            self._refresh()
            self._due = time.monotonic() + _FRESH_SECONDS

    def forget_all(self) -> None:
        with self._lock:
            self._standing, self._unwritten, self._due = Standing(), [], 0.0

    def _refresh(self) -> None:
        """A database that does not answer is no reason to call what is known to hang."""
        try:
            while self._unwritten:
                _write(self._unwritten[0])
                self._unwritten.pop(0)
            self._standing = Incident.objects.standing(now=timezone.now())
        except DatabaseError as error:
            log.warning("What is known of versions that hang could not be read: %s", error)
            unwritten = standing_of(
                (Seen(each.version_id, each.kind, each.happened_at) for each in self._unwritten), now=timezone.now()
            )
            self._standing = Standing(
                self._standing.quarantined | unwritten.quarantined, self._standing.not_in_web | unwritten.not_in_web
            )


_known = _Known()


def standing() -> Standing:
    """Which versions are quarantined; at most some seconds old, and one small statement when it is older."""
    return _known.standing()


def forget_all() -> None:
    """Know nothing, as a new process."""
    _known.forget_all()


def report(version_id: int, kind: Kind, detail: str, *, process: str = "", now: datetime | None = None) -> None:
    """Note what a version did. Never raises: without a database this process knows it, and writes it later."""
    incident = Incident(
        version_id=version_id,
        kind=kind,
        process=process or worker_name(),
        detail=detail,
        happened_at=now or timezone.now(),
    )
    log.error("Version %d %s (%s): %s", version_id, kind.label, incident.process, detail.partition("\n")[0])
    _known.add(incident)


def begin_marking() -> None:
    """Record from now on what this process calls, for the process that finds that it has ended."""
    call_marker.begin(_folder(), worker_name())


@dataclass(frozen=True)
class Ending:
    """How a watched process ended: its status, negative for a signal, and whether its time was up."""

    pid: int
    status: int
    is_out_of_time: bool = False


def report_left_behind(ending: Ending | None = None) -> int:
    """Report what processes of this host were at that are gone, one of them by `ending`; how many calls that were."""
    found = call_marker.left_behind(_folder())
    for note in found:
        own = ending if ending is not None and ending.pid == note.pid else None
        kind, detail = _explained(note, own)
        report(note.version_id, kind, detail, process=note.process)
    return len(found)


def forget_left_behind(pids: Iterable[int]) -> None:
    """Of processes that were ended for no fault of what they called; others' notes are reported."""
    innocent = set(pids)
    for note in call_marker.left_behind(_folder()):
        if note.pid not in innocent:
            report(note.version_id, *_explained(note, None), process=note.process)


def _folder() -> Path:
    return Path(settings.MLSERVE_CALLS_DIR)


def _explained(note: LeftBehind, ending: Ending | None) -> tuple[Kind, str]:
    """What became of a process during a call, from what there is to tell it by."""
    when = "while it was loaded" if note.what == call_marker.LOAD else "in a call"
    status = ending.status if ending else None
    if note.dump.startswith("Timeout") or (ending and ending.is_out_of_time):
        limit = settings.MLSERVE_BATCH_SECONDS
        return Kind.HUNG, f"It kept the interpreter for longer than {limit} s {when}.\n{note.dump[:_LONGEST_DUMP]}"
    if note.dump:
        return Kind.CRASHED, f"Its process crashed {when}.\n{note.dump[:_LONGEST_DUMP]}"
    if note.ran_out_of_memory and status in (None, -9):
        return Kind.OUT_OF_MEMORY, f"The system ended its process for want of memory {when}."
    if status is not None and status >= 0:
        return Kind.EXITED, f"Its process ended itself {when} (status {status})."
    if status not in (None, -9, -15):
        return Kind.CRASHED, f"Its process was ended {when} by signal {-(status or 0)}."
    return Kind.KILLED, f"Its process ended without a trace {when}: it was killed, or the model ended it."


def _write(incident: Incident) -> None:
    try:
        Incident.objects.record(
            version_id=incident.version_id,
            kind=Kind(incident.kind),
            process=incident.process,
            detail=incident.detail,
            now=incident.happened_at,
        )
    except IntegrityError as error:
        log.info("An incident of a version that is gone is not kept: %s", error)
