"""Folders of processes that end as they should, that run, and that were killed."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mlserve.processes.temporary_folders import delete_abandoned, temporary_folder
from tests.paths import ROOT

HOLD = """
import time
from mlserve.processes.temporary_folders import temporary_folder
with temporary_folder("test") as folder:
    (folder / "inner").mkdir()
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def _old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlserve.processes.temporary_folders._YOUNG_SECONDS", -1)


@contextmanager
def holder(place: Path) -> Iterator[tuple[Path, "subprocess.Popen[str]"]]:
    environment = {**os.environ, "TMPDIR": str(place)}
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield Path(process.stdout.readline().strip()), process
        finally:
            process.kill()


def test_it_leaves_nothing(place: Path) -> None:
    with temporary_folder("test") as folder:
        (folder / "file").write_text("content")
        assert folder.parent == place
        assert folder.stat().st_mode & 0o777 == 0o700

    assert list(place.iterdir()) == []


@pytest.mark.usefixtures("_old")
def test_it_deletes_what_a_killed_process_left(place: Path) -> None:
    with holder(place) as (folder, process):
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert (folder / "inner").is_dir()

        with temporary_folder("other") as mine:
            assert list(place.iterdir()) == [mine]


@pytest.mark.usefixtures("_old")
def test_it_leaves_alone_what_is_in_use(place: Path) -> None:
    with holder(place) as (folder, _), temporary_folder("test") as mine:
        assert delete_abandoned() == 0
        assert {folder, mine} == set(place.iterdir())


def test_it_leaves_alone_what_is_young(place: Path) -> None:
    (place / "mlserve-held-test-1").mkdir()

    assert delete_abandoned() == 0


@pytest.mark.usefixtures("_old")
def test_it_leaves_alone_what_is_not_its_own(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "elsewhere").mkdir()
    (place / "mlserve-held-link").symlink_to(place / "elsewhere")
    (place / "mlserve-held-file").touch()
    (place / "mlserve-inspection-of-an-older-release").mkdir()
    assert delete_abandoned() == 0

    (place / "mlserve-held-test-1").mkdir()
    monkeypatch.setattr(os, "getuid", lambda: place.stat().st_uid + 1)
    assert delete_abandoned() == 0

    assert len(list(place.iterdir())) == 5
