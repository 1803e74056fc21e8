"""Which processes are the same host's, and what becomes of workers that are gone."""

import os
import re
import subprocess
import sys
from datetime import timedelta

import pytest
from django.utils import timezone

from predictions.models import Worker
from predictions.queue import heartbeat
from tests.paths import ROOT


def host_of_another(*prefix: str, **variables: str) -> str:
    """The host's name in a process of its own."""
    code = "from predictions.queue.heartbeat import host_name; print(host_name())"
    setup = "import django; django.setup(); "
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "mlserve.settings", **variables}
    command = [*prefix, sys.executable, "-c", setup + code]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_it_names_the_same_host_alike() -> None:
    assert host_of_another() == heartbeat.host_name()
    assert heartbeat.worker_name() == f"{heartbeat.host_name()}:{os.getpid()}"


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root may make a namespace of processes")
def test_it_tells_containers_of_the_same_name_apart() -> None:
    container = host_of_another("unshare", "--pid", "--fork", "--mount-proc")

    assert container != heartbeat.host_name()
    assert re.sub("-[0-9a-f]{8}$", "", container) == re.sub("-[0-9a-f]{8}$", "", heartbeat.host_name())


def test_it_tells_the_sandboxes_of_a_function_apart() -> None:
    """Their processes bear the same numbers, and their hosts often the same names."""
    streams = [f"2026/11/24/[$LATEST]{letter * 32}" for letter in "ab"]

    assert [host_of_another(AWS_LAMBDA_LOG_STREAM_NAME=stream) for stream in streams] == streams


@pytest.mark.django_db
@pytest.mark.skipif(sys.platform != "linux", reason="read from Linux's /proc")
def test_it_takes_a_zombie_worker_for_gone() -> None:
    with subprocess.Popen(["sleep", "60"]) as ended:
        ended.kill()
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)  # until it has ended, but its number stays taken
        name = f"here:{ended.pid}"
        Worker.objects.create(name=name, host=heartbeat.host_name(), pid=ended.pid, seen_at=timezone.now())

        heartbeat.requeue_of_dead_workers()

        assert not Worker.objects.filter(name=name).exists()


@pytest.mark.django_db
def test_it_leaves_workers_of_other_hosts_alone() -> None:
    gone = 2**22 + 1  # above the largest process number of Linux
    Worker.objects.create(name=f"elsewhere:{gone}", host="elsewhere", pid=gone, seen_at=timezone.now())
    Worker.objects.create(name=f"here:{gone}", host=heartbeat.host_name(), pid=gone, seen_at=timezone.now())

    heartbeat.requeue_of_dead_workers()

    assert list(Worker.objects.values_list("host", flat=True)) == ["elsewhere"]


@pytest.mark.django_db
def test_it_forgets_who_was_not_seen_for_a_day() -> None:
    now = timezone.now()
    for hours in (1, 23, 25, 100):
        Worker.objects.create(name=f"{hours}", host="elsewhere", pid=1, seen_at=now - timedelta(hours=hours))

    assert heartbeat.forget_unseen(now=now) == 2
    assert set(Worker.objects.values_list("name", flat=True)) == {"1", "23"}
