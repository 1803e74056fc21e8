"""How many inspections the requests of a host may start at once, and what the others are told."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from rest_framework.test import APIClient

from mlserve.errors import Unavailable
from registry.inspection import slots as inspection_slots
from registry.inspection.slots import inspect_in_request
from registry.inspection.version_request import VersionRequest
from registry.models import Model
from tests import pipelines

pytestmark = pytest.mark.usefixtures("real_inspections")

_HOLD = """
import fcntl, sys
files = [open(path, "wb") for path in sys.argv[1:]]
for file in files:
    fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def busy(settings: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Another process of this host that has every slot until it ends."""
    folder = settings.MLSERVE_CACHE_DIR / "inspections"
    folder.mkdir(parents=True)
    slots = [str(folder / str(number)) for number in range(inspection_slots.MOST_AT_ONCE)]
    command = [sys.executable, "-c", _HOLD, *slots]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process


def artifact_of(path: Path) -> SimpleUploadedFile:
    return SimpleUploadedFile("model.joblib", path.read_bytes())


def inspections() -> int:
    command = ["pgrep", "-P", str(os.getpid()), "-f", "registry.inspection.child"]
    listed = subprocess.run(command, check=False, capture_output=True, text=True)
    return len(listed.stdout.split())


def test_it_says_what_to_do_where_every_slot_is_taken(
    as_owner: APIClient, busy: subprocess.Popen[bytes], penguins_artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection_slots, "_LONGEST_WAIT_SECONDS", 0.2)

    form = {"artifact": artifact_of(penguins_artifact), "tag": "1.0"}
    response = as_owner.post("/api/models/penguins/versions", form, format="multipart")

    assert response.status_code == 503
    assert "POST /api/uploads" in response.json()["detail"]
    assert int(response.headers["Retry-After"]) > 0
    assert not Model.objects.exists()


def test_it_takes_a_slot_that_becomes_free(
    as_owner: APIClient, busy: subprocess.Popen[bytes], penguins_artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection_slots, "_LONGEST_WAIT_SECONDS", 60)
    form = {"artifact": artifact_of(penguins_artifact), "tag": "1.0"}

    busy.kill()
    response = as_owner.post("/api/models/penguins/versions", form, format="multipart")

    assert response.status_code == 201


def test_it_needs_no_slot_for_what_is_registered(
    as_owner: APIClient,
    publish_penguins: Callable[..., Any],
    busy: subprocess.Popen[bytes],
    penguins_artifact: Path,
) -> None:
    publish_penguins()

    form = {"artifact": artifact_of(penguins_artifact), "tag": "1.0"}
    response = as_owner.post("/api/models/penguins/versions", form, format="multipart")

    assert response.status_code == 200


def test_it_says_so_in_the_admin(
    admin_client: Client, busy: subprocess.Popen[bytes], penguins_artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection_slots, "_LONGEST_WAIT_SECONDS", 0.2)
    form = {"model": "penguins", "tag": "1.0", "artifact": artifact_of(penguins_artifact)}

    page = admin_client.post("/admin/registry/modelversion/add/", form)

    assert "as many as this host takes from requests" in page.text
    assert not Model.objects.exists()


def test_it_runs_some_at_a_time(save: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection_slots, "_LONGEST_WAIT_SECONDS", 300)
    artifact = save(pipelines.array_regressor())
    most = 0

    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(inspect_in_request, artifact, VersionRequest()) for _ in range(4)]
        while not all(each.done() for each in running):
            most = max(most, inspections())
            time.sleep(0.05)

    assert most == inspection_slots.MOST_AT_ONCE
    assert all(each.result().report.is_accepted for each in running)


def test_it_says_where_it_cannot_count(settings: Any, tmp_path: Path, save: Callable[..., Path]) -> None:
    (tmp_path / "file").touch()
    settings.MLSERVE_CACHE_DIR = tmp_path / "file"

    with pytest.raises(Unavailable, match="MLSERVE_CACHE_DIR"):
        inspect_in_request(save(pipelines.array_regressor()), VersionRequest())
