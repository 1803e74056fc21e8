"""Hostile archives: nothing is written where they say, nothing large is built for them."""

import gzip
import os
import struct
import tarfile
import time
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from registry.bundles.errors import UnusableBundle
from registry.bundles.members import TooMuchToList, copy, members_of
from tests.registry.bundles.packing import tarred, zip_of

PICKLE = b"\x80\x04N."


def names_in(path: Path, *, max_bytes: int = 2**24) -> list[str]:
    with members_of(path, max_bytes=max_bytes) as members:
        assert members is not None
        return members.names()


def copied(path: Path, name: str, target: Path, *, max_bytes: int = 100) -> None:
    with members_of(path, max_bytes=max_bytes) as members:
        assert members is not None
        copy(members, name, target, max_bytes=max_bytes)


def _link(kind: bytes, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo("model.pkl")
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize("name", ["../model.pkl", "/etc/model.pkl", "a/../../model.pkl", "..\\model.pkl", "."])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_it_refuses_names_that_lead_out(tmp_path: Path, name: str, kind: str) -> None:
    make = zip_of if kind == "zip" else tarred

    with pytest.raises(UnusableBundle, match="leads out of it"):
        names_in(make({name: PICKLE}, tmp_path / "archive"))


@pytest.mark.parametrize(
    "info",
    [
        _link(tarfile.SYMTYPE, "/etc/passwd"), _link(tarfile.LNKTYPE, "other"), _link(tarfile.CHRTYPE, ""),
        _link(tarfile.BLKTYPE, ""), _link(tarfile.FIFOTYPE, ""), _link(tarfile.GNUTYPE_SPARSE, ""),
    ],
    ids=lambda info: str(info.type),
)  # fmt: skip
def test_it_refuses_links_and_devices_in_a_tar(tmp_path: Path, info: tarfile.TarInfo) -> None:
    with pytest.raises(UnusableBundle):
        names_in(tarred({"other": PICKLE}, tmp_path / "model.tar.gz", info))


def test_it_refuses_a_link_in_a_zip(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("MLmodel")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")

    with pytest.raises(UnusableBundle, match="a link or a device"):
        names_in(tmp_path / "m.zip")


def test_it_follows_no_link_out_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "MLmodel").symlink_to(tmp_path / "secret")

    with pytest.raises(UnusableBundle, match="out of the"):
        copied(tmp_path / "model", "MLmodel", tmp_path / "copy")


def test_it_does_not_wait_for_a_pipe_in_a_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "MLmodel")

    assert names_in(tmp_path) == []


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_it_refuses_a_file_that_is_there_twice(tmp_path: Path, kind: str) -> None:
    make = zip_of if kind == "zip" else tarred

    with pytest.raises(UnusableBundle, match="more than once"):
        names_in(make({"model.pkl": PICKLE, "./model.pkl": PICKLE}, tmp_path / "archive"))


def test_it_overlooks_what_macos_adds(tmp_path: Path) -> None:
    files = {"m/MLmodel": b"x", "__MACOSX/m/._MLmodel": b"x", "m/.DS_Store": b"x", "m/._MLmodel": b"x"}

    assert names_in(zip_of(files, tmp_path / "m.zip")) == ["m/MLmodel"]


def test_it_does_not_believe_the_size_that_a_zip_tells(tmp_path: Path) -> None:
    path = tmp_path / "m.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.pkl", bytes(10**7))
    path.write_bytes(path.read_bytes().replace(struct.pack("<L", 10**7), struct.pack("<L", 10)))

    with pytest.raises(UnusableBundle):
        copied(path, "model.pkl", tmp_path / "copy", max_bytes=10**6)

    assert (tmp_path / "copy").stat().st_size <= 10**6


def test_it_stops_a_tar_that_unpacks_to_more(tmp_path: Path) -> None:
    path = tmp_path / "model.tar.gz"
    with gzip.open(path, "wb", 1) as file:
        info = tarfile.TarInfo("big")
        info.size = 2**36
        file.write(info.tobuf())
        file.write(bytes(2**22))

    with pytest.raises(UnusableBundle, match="unpacks to more than"):
        names_in(path, max_bytes=2**20)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_it_builds_no_name_of_gigabytes(tmp_path: Path, kind: bytes) -> None:
    path = tmp_path / "model.tar.gz"
    with gzip.open(path, "wb", 1) as file:
        info = tarfile.TarInfo("header")
        info.type, info.size = kind, 2**28
        file.write(info.tobuf())
        for _ in range(2**8):
            file.write(bytes(2**20))

    tracemalloc.start()
    try:
        with pytest.raises((TooMuchToList, UnusableBundle)):
            names_in(path, max_bytes=2**30)
        assert tracemalloc.get_traced_memory()[1] < 2**26
    finally:
        tracemalloc.stop()


def test_it_stops_listing_a_million_files(tmp_path: Path) -> None:
    path = tmp_path / "model.tar.gz"
    with gzip.open(path, "wb", 1) as file:
        file.write(tarfile.TarInfo("x").tobuf() * 200_000)

    started = time.monotonic()
    with pytest.raises((TooMuchToList, UnusableBundle)):
        names_in(path)
    assert time.monotonic() - started < 10


def test_it_refuses_unusual_compression(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("MLmodel", "x")

    with pytest.raises(UnusableBundle, match="in an unusual way"):
        copied(tmp_path / "m.zip", "MLmodel", tmp_path / "copy")


@pytest.mark.parametrize("kept", [600, 1_000_000])
def test_it_says_that_an_archive_is_damaged(tmp_path: Path, kept: int) -> None:
    path = tarred({"a.pkl": os.urandom(2**20), "b.pkl": os.urandom(2**20)}, tmp_path / "model.tar.gz")
    path.write_bytes(path.read_bytes()[:kept])

    with pytest.raises(UnusableBundle, match="truncated or damaged"):
        names_in(path)


def test_it_shows_names_without_their_control_characters(tmp_path: Path) -> None:
    with pytest.raises(UnusableBundle) as caught:
        names_in(tarred({"../\x1b[2J\udcff": PICKLE}, tmp_path / "model.tar.gz"))

    assert caught.value.detail.isascii()
    assert "\x1b" not in caught.value.detail
