"""Worker processes: the name of this one, which others were seen lately, and what the dead ones held."""

import hashlib
import os
import socket
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

from django.utils import timezone

from predictions.models import Prediction, Worker
from registry.models.direct_upload import DirectUpload

# Each worker is seen when it starts, and each host tells every minute which of its workers live; on Lambda the
# schedule's function tells of itself.
SEEN_WITHIN = timedelta(seconds=150)
# A worker that was not seen for so long is gone: containers and functions have a new name each time.
_FORGOTTEN_AFTER = timedelta(days=1)


def worker_name() -> str:
    """This process as the holder of leases."""
    return f"{host_name()}:{os.getpid()}"


@cache
def host_name() -> str:
    """Where process numbers mean the same processes: this machine since it was started, or this container.

    Machines may bear the same name, and containers and functions often do. What one of them took for the number of a
    process that is gone may be that of another one's busy worker.
    """
    if log_stream := os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME"):
        return log_stream
    name, marks = socket.gethostname(), _marks_of_this_host()
    return f"{name}-{hashlib.sha256(marks.encode()).hexdigest()[:8]}" if marks else name


def _marks_of_this_host() -> str:
    """This start of the machine's kernel, and this container; nothing where Linux's /proc is missing."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii") + str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def see_this_worker() -> None:
    """Record that this process is a worker and lives."""
    Worker.objects.update_or_create(
        name=worker_name(),
        defaults={"host": host_name(), "pid": os.getpid(), "seen_at": timezone.now()},
    )


def count_seen() -> int:
    """Workers that were seen lately, on any host."""
    return Worker.objects.filter(seen_at__gt=timezone.now() - SEEN_WITHIN).count()


def see_living_workers() -> None:
    """Refresh every worker of this host whose process lives: only one of them runs the sweep."""
    here = Worker.objects.filter(host=host_name())
    living = [worker.name for worker in here if _is_alive(worker.pid)]
    here.filter(name__in=living).update(seen_at=timezone.now())


def requeue_of_dead_workers() -> int:
    """Requeue what dead workers of this host hold, before their leases run out; how many predictions that were."""
    here = Worker.objects.filter(host=host_name())
    gone = [worker.name for worker in here if not _is_alive(worker.pid)]
    released = Prediction.objects.requeue_held_by(gone, now=timezone.now())
    DirectUpload.objects.requeue_held_by(gone, now=timezone.now())
    here.filter(name__in=gone).delete()
    return released


def forget_unseen(*, now: datetime) -> int:
    """Delete workers of any host that were not seen for a day; how many."""
    deleted, _ = Worker.objects.filter(seen_at__lt=now - _FORGOTTEN_AFTER).delete()
    return deleted


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not _has_ended(pid)


def _has_ended(pid: int) -> bool:
    """Whether only its number is left, until its parent asks for its end: in a container, whose first process is often
    no init, that may be never.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
    return stat.rpartition(b") ")[2][:1] in (b"Z", b"X")
