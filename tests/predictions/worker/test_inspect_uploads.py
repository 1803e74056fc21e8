"""Uploads and the queue: a worker is called for each, and none is left waiting."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.utils import timezone
from django_q.models import OrmQ
from rest_framework.test import APIClient

from predictions import tasks
from predictions.models import Worker
from predictions.queue import heartbeat, wake_ups
from registry.models.direct_upload import DirectUpload, Status, inspection_task_seconds
from registry.uploads import worker as upload_inspection
from tests.registry.uploading import row, submitted
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

CONTENT = b"no pickle"


@pytest.fixture
def as_owner(api: APIClient, owner: User) -> APIClient:
    api.force_authenticate(owner)
    return api


def called_for() -> list[tuple[str, int]]:
    """The tasks that wait in the queue, with their limits."""
    return [(each.task["func"], each.task.get("timeout")) for each in OrmQ.objects.order_by("pk")]


INSPECTION = (wake_ups.TASKS["inspect"], inspection_task_seconds())


def test_it_calls_a_worker_for_an_upload(as_owner: APIClient) -> None:
    submitted(as_owner, CONTENT)

    assert called_for() == [INSPECTION]


def test_it_inspects_one_after_another(as_owner: APIClient) -> None:
    uploads = [submitted(as_owner, CONTENT, tag=tag) for tag in ("1.0", "2.0")]
    OrmQ.objects.all().delete()

    assert tasks.inspect_uploads()
    assert called_for() == [INSPECTION]

    assert tasks.inspect_uploads()
    assert called_for() == [INSPECTION]
    assert {row(upload).status for upload in uploads} == {Status.REFUSED}
    assert not tasks.inspect_uploads()


def test_it_accepts_an_upload_when_the_broker_is_down(as_owner: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise ConnectionError("no broker")

    monkeypatch.setattr("django_q.tasks.async_task", refuse)

    assert row(submitted(as_owner, CONTENT)).status == Status.QUEUED


def test_the_sweep_calls_for_what_waits_without_a_task(as_owner: APIClient) -> None:
    submitted(as_owner, CONTENT)
    OrmQ.objects.all().delete()

    tasks.sweep()

    assert called_for() == [INSPECTION]


def test_the_sweep_calls_no_worker_while_one_is_inspected(as_owner: APIClient) -> None:
    submitted(as_owner, CONTENT)
    submitted(as_owner, CONTENT, tag="2.0")
    DirectUpload.objects.claim(holder="another host:1", now=timezone.now())
    OrmQ.objects.all().delete()

    tasks.sweep()

    assert called_for() == []


def test_the_sweep_takes_back_what_a_dead_host_held(as_owner: APIClient) -> None:
    upload = submitted(as_owner, CONTENT)
    DirectUpload.objects.claim(holder="another host:1", now=timezone.now() - timedelta(hours=1))
    OrmQ.objects.all().delete()

    tasks.sweep()

    assert row(upload).status == Status.QUEUED
    assert called_for() == [INSPECTION]


def test_the_sweep_takes_back_what_a_dead_worker_of_this_host_held(as_owner: APIClient) -> None:
    """At once, without waiting for the end of its lease."""
    upload = submitted(as_owner, CONTENT)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    name, host = f"here:{ended.pid}", heartbeat.worker_name().partition(":")[0]
    Worker.objects.create(name=name, host=host, pid=ended.pid, seen_at=timezone.now())
    DirectUpload.objects.claim(holder=name, now=timezone.now())

    tasks.sweep()

    assert row(upload).status == Status.QUEUED


@pytest.mark.parametrize("error", [SystemExit("time is up"), RuntimeError("a bug"), KeyboardInterrupt()])
def test_it_requeues_what_it_could_not_end(
    as_owner: APIClient, monkeypatch: pytest.MonkeyPatch, settings: Any, error: BaseException
) -> None:
    settings.MLSERVE_MAX_ATTEMPTS = 2
    upload = submitted(as_owner, CONTENT)

    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(upload_inspection, "_fetch", fail)
    for expected in (Status.QUEUED, Status.FAILED):
        OrmQ.objects.all().delete()
        with pytest.raises(type(error)):
            tasks.inspect_uploads()
        assert row(upload).status == expected

    assert called_for() == []
    assert (row(upload).problem or {})["code"] == "given-up"


_WORKER = """
import django
django.setup()
from django.conf import settings
from django.core.files.storage import storages
settings.STORAGES["artifacts"]["OPTIONS"]["location"] = {location!r}
settings.MLSERVE_CACHE_DIR = {cache!r}
from predictions import tasks
from predictions.queue import heartbeat
heartbeat.see_this_worker()
tasks.inspect_uploads()
"""


@pytest.fixture
def worker(settings: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """A process of its own that inspects; it may be killed."""
    name = connection.settings_dict["NAME"]
    url = f"sqlite:///{name}"
    if connection.vendor == "postgresql":
        url = f"{os.environ['DATABASE_URL'].rpartition('/')[0]}/{name}"
    code = _WORKER.format(
        location=settings.STORAGES["artifacts"]["OPTIONS"]["location"], cache=str(settings.MLSERVE_CACHE_DIR)
    )
    environment = {**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "mlserve.settings"}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, cwd=settings.BASE_DIR)
    yield process
    process.kill()
    process.wait()


def test_it_is_inspected_again_when_its_worker_is_killed(
    as_owner: APIClient,
    penguins_artifact: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    """And the child process, which runs the uploader's code, does not outlive the worker."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    schema = SimpleUploadedFile("validation.py", b"import os, time; print(os.getpid(), flush=True); time.sleep(60)")
    upload = submitted(as_owner, penguins_artifact.read_bytes(), schema=schema)
    process: subprocess.Popen[bytes] = request.getfixturevalue("worker")

    def printed() -> str:
        return "".join(path.read_text() for path in tmp_path.glob("mlserve-held-inspection-*/output.txt"))

    wait_until(lambda: printed().endswith("\n"))
    child = int(printed().split()[-1])

    process.send_signal(signal.SIGKILL)
    process.wait(10)
    tasks.sweep()

    assert (row(upload).status, row(upload).attempts) == (Status.QUEUED, 1)
    wait_until(lambda: has_ended(child))


def has_ended(pid: int) -> bool:
    """Also when no process has recorded that it ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True
