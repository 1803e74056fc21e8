"""Disks that take data, and disks that do not: a small file system that is really full."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import storages

from mlserve.errors import Unavailable
from mlserve.operations.disks import DiskTrial

pytestmark = pytest.mark.django_db

only_root = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0 or shutil.which("mount") is None,
    reason="only root can make a small disk: run it as root",
)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> None:
    """To its last byte."""
    for size in (65536, 64):
        with (folder / "filler").open("ab", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(size))


def test_it_finds_all_folders_writable() -> None:
    DiskTrial()()


def test_it_leaves_nothing_and_makes_no_folder(tmp_path: Path, settings: Any) -> None:
    settings.MLSERVE_CACHE_DIR = tmp_path / "not" / "there"

    DiskTrial()()

    assert list(tmp_path.iterdir()) == []


@only_root
def test_it_names_the_parts_whose_disk_is_full(small_disk: Path, settings: Any, monkeypatch: Any) -> None:
    settings.MLSERVE_CACHE_DIR = small_disk / "cache"
    monkeypatch.setattr(storages["artifacts"], "location", str(small_disk))
    fill(small_disk)

    with pytest.raises(Unavailable, match=r"^cannot be written: cache \(No space left on device\), artifacts \(No "):
        DiskTrial()()


@only_root
def test_it_notices_at_once_that_there_is_room_again(small_disk: Path, settings: Any) -> None:
    settings.MLSERVE_CACHE_DIR = small_disk
    fill(small_disk)
    trial = DiskTrial(clock=lambda: 0.0)
    with pytest.raises(Unavailable):
        trial()

    (small_disk / "filler").unlink()

    trial()


def test_it_writes_every_ten_seconds_however_often_it_is_asked(tmp_path: Path, monkeypatch: Any) -> None:
    times = iter((0.0, 0.1, 9.9, 10.2, 10.3))
    trial = DiskTrial(clock=lambda: next(times))
    trial()
    monkeypatch.setattr(tempfile, "tempdir", "/dev/null")

    trial()
    with pytest.raises(Unavailable, match=r"temporary files \(Not a directory\)"):
        trial()
