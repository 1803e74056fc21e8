"""Versions whose process hung or ended: recorded, and quarantined in every process within seconds."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from django.db import Error as DatabaseError
from django.db import IntegrityError
from django.utils import timezone

from predictions.model_host.errors import ModelEnded
from predictions.queue.heartbeat import worker_name
from registry.models import Incident, ModelVersion
from registry.models.incident import Kind, Seen, Standing, standing_of

log = logging.getLogger(__name__)

# A request asks the database at most so often; what this process found out itself it knows at once.
_FRESH_SECONDS = 2.0


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


def report(version: ModelVersion, kind: Kind, detail: str, *, process: str = "", now: datetime | None = None) -> None:
    """Note what a version did, of which the model is read already.

    Never raises: without a database this process knows it, and writes it later.
    """
    incident = Incident(
        version=version,
        kind=kind,
        process=process or worker_name(),
        detail=detail,
        happened_at=now or timezone.now(),
    )
    facts = {"model": version.model.name, "version": version.tag, "incident": str(kind)}
    said = (version, kind.label, incident.process, detail.partition("\n")[0])
    log.error("Version %s %s (%s): %s", *said, extra={"facts": facts})
    _known.add(incident)


@contextmanager
def reported(version: ModelVersion) -> Iterator[None]:
    """Around what loads or calls a version: if its process hangs or ends, that becomes an incident of the version."""
    try:
        yield
    except ModelEnded as ended:
        if ended.is_first:
            report(version, Kind(ended.kind), ended.detail)
        raise


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
