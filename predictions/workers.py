"""Who predicts: the name of this worker process, which others were seen, and what the dead ones held."""

import os
import socket
from datetime import timedelta

from django.utils import timezone

from predictions.models import Prediction, Worker
from registry.direct_upload import DirectUpload

# Each worker is seen when it starts and whenever it runs the sweep; some worker runs it every minute.
SEEN_WITHIN = timedelta(seconds=150)


def worker_name() -> str:
    """Who holds a lease: this process."""
    return f"{socket.gethostname()}:{os.getpid()}"


def see_this_worker() -> None:
    """Record that this process is a worker and lives."""
    Worker.objects.update_or_create(
        name=worker_name(),
        defaults={"host": socket.gethostname(), "pid": os.getpid(), "seen_at": timezone.now()},
    )


def count_seen() -> int:
    """Workers that were seen lately, on any host."""
    return Worker.objects.filter(seen_at__gt=timezone.now() - SEEN_WITHIN).count()


def see_living_workers() -> None:
    """Refresh every worker of this host whose process lives: only one of them runs the sweep."""
    here = Worker.objects.filter(host=socket.gethostname())
    living = [worker.name for worker in here if _is_alive(worker.pid)]
    here.filter(name__in=living).update(seen_at=timezone.now())


def release_dead_workers() -> int:
    """Give back what workers of this host hold whose process is gone; their leases need not run out first."""
    here = Worker.objects.filter(host=socket.gethostname())
    gone = [worker.name for worker in here if not _is_alive(worker.pid)]
    released = Prediction.objects.release_held_by(gone, now=timezone.now())
    DirectUpload.objects.release_held_by(gone, now=timezone.now())
    here.filter(name__in=gone).delete()
    return released


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
