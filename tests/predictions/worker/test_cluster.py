"""What becomes of the workers beside one that was killed, and of a guard that has lost its worker."""

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.utils import timezone

from mlserve.processes.children import CAN_FORK
from predictions.queue import heartbeat
from predictions.serving.submission import submit
from predictions.worker import cluster
from predictions.worker.claiming import claim
from predictions.worker.cluster import _requeue_held_by
from registry.models import ModelVersion
from registry.models.direct_upload import DirectUpload, Status

_KILLED = 2**22 + 1  # above the largest process number of Linux
_FAILS = """
import multiprocessing, django
multiprocessing.set_start_method("fork")
django.setup()
from predictions.worker import cluster

def fail(_):
    raise OSError("Cannot allocate memory")

cluster._Heartbeat.__call__ = fail
cluster.run_cluster(1)
"""
_RUNS = """
import multiprocessing, django
multiprocessing.set_start_method("fork")
django.setup()
from predictions.worker import cluster

cluster.run_cluster(1)
"""


@pytest.mark.django_db(transaction=True)
def test_it_counts_no_attempt_of_what_was_killed_beside_another(
    penguins: ModelVersion, penguin: dict[str, Any]
) -> None:
    submit(penguins, penguin, outputs=["predict"], user=AnonymousUser())
    (held,) = claim(holder=f"{heartbeat.host_name()}:{_KILLED}", now=timezone.now())

    _requeue_held_by([_KILLED])

    held.refresh_from_db()
    assert (held.status, held.attempts) == ("queued", 0)


@pytest.mark.django_db(transaction=True)
def test_it_counts_no_attempt_of_an_upload_either() -> None:
    now = timezone.now()
    queued = {"status": Status.QUEUED, "created_at": now, "submitted_at": now}
    upload = DirectUpload.objects.create(size_bytes=1, part_bytes=1, **queued)
    assert DirectUpload.objects.claim(holder=f"{heartbeat.host_name()}:{_KILLED}", now=now)

    _requeue_held_by([_KILLED])

    upload.refresh_from_db()
    assert (upload.status, upload.attempts, upload.lease_holder) == (Status.QUEUED, 0, "")


@pytest.mark.skipif(not CAN_FORK, reason="the processes are forked on Linux only")
def test_it_ends_with_its_workers_when_the_guard_fails(tmp_path: Path) -> None:
    """Else it would wait for ever for workers that are replaced no more."""
    environment = {**os.environ, "DATABASE_URL": f"sqlite:///{tmp_path}/empty.sqlite3"}

    done = subprocess.run(
        [sys.executable, "-c", _FAILS], env=environment, check=False, capture_output=True, text=True, timeout=60
    )

    assert (done.returncode, "Cannot allocate memory" in done.stderr) == (1, True)


def test_it_does_not_wait_for_a_timer_that_a_killed_worker_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_LOCK_SECONDS", 0.05)
    timer = cluster._new_timer()
    # A thread that has ended never releases its lock either.
    killed = threading.Thread(target=timer.get_lock().acquire)
    killed.start()
    killed.join()

    with pytest.raises(SystemExit) as ended, timer.get_lock():
        pass

    assert ended.value.code == cluster.WORKER_DIED_STATUS


@pytest.mark.skipif(not CAN_FORK, reason="the processes are forked on Linux only")
def test_it_sweeps_soon_after_its_start(tmp_path: Path) -> None:
    """By itself django-q2 looks at its schedule 30 seconds after the start, which a crash loop never reaches."""
    path = tmp_path / "database.sqlite3"
    environment = {**os.environ, "DATABASE_URL": f"sqlite:///{path}"}
    migrate = "from django.core.management import call_command; call_command('migrate', verbosity=0)"
    code = f"import django; django.setup(); {migrate}"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=120)

    with subprocess.Popen([sys.executable, "-c", _RUNS], env=environment) as cluster_process:
        try:
            wait_until(lambda: has_row(path, "predictions_worker"), seconds=60)
            wait_until(lambda: has_row(path, "predictions_wakeup WHERE queue = 'mlserve sweep'"), seconds=20)
        finally:
            cluster_process.terminate()


def has_row(path: Path, table: str) -> bool:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"SELECT 1 FROM {table}").fetchone() is not None


def wait_until(condition: Callable[[], bool], *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
