"""Where a run keeps artifacts and wake-ups, and the disk below everything: each can be made unreachable for a while."""

import contextlib
import ctypes
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import boto3
from moto.server import ThreadedMotoServer

from tests.stand_ins.front import Front, Mode
from tests.stand_ins.redis import RedisServer

_CLONE_NEWNS = 0x20000
_DISK_BYTES = 2 * 2**30
_BUCKET = "torture"


class Store(Protocol):
    name: str
    variables: Mapping[str, str]
    ways_to_be_unreachable: tuple[Mode, ...]

    def go(self, how: Mode) -> None: ...

    def come_back(self) -> None: ...

    def read(self, key: str) -> bytes: ...

    def close(self) -> None: ...


class DiskStore:
    """The folder of artifacts is a link, so that it can lead nowhere."""

    name = "disk"
    variables: Mapping[str, str] = {}
    ways_to_be_unreachable: tuple[Mode, ...] = ("refuse",)

    def __init__(self, folder: Path) -> None:
        self._link, self._kept = folder / "artifacts", folder / "artifacts-kept"
        self._kept.mkdir()
        self._link.symlink_to(self._kept)

    def go(self, how: Mode) -> None:
        self._point_to(Path("/dev/null/gone"))  # neither to be read nor to be made

    def come_back(self) -> None:
        self._point_to(self._kept)

    def _point_to(self, target: Path) -> None:
        new = self._link.with_name("artifacts-new")
        new.symlink_to(target)
        new.rename(self._link)

    def read(self, key: str) -> bytes:
        return (self._kept / key).read_bytes()

    def close(self) -> None: ...


class S3Store:
    """Moto behind a front: while it is unreachable it keeps what it has, as S3 does."""

    name = "s3"
    variables: Mapping[str, str]
    ways_to_be_unreachable: tuple[Mode, ...] = ("refuse", "reset", "hang")

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        self._front = Front(self._server.get_host_and_port()[1])
        self.variables = {
            "MLSERVE_BUCKET": _BUCKET,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._front.port}",
            "AWS_ACCESS_KEY_ID": "torture", "AWS_SECRET_ACCESS_KEY": "torture",
            "AWS_DEFAULT_REGION": "eu-central-1", "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }  # fmt: skip
        self._client: Any = boto3.Session(
            aws_access_key_id="torture", aws_secret_access_key="torture", region_name="eu-central-1"
        ).client("s3", endpoint_url=self.variables["AWS_ENDPOINT_URL"])
        location = {"LocationConstraint": "eu-central-1"}
        self._client.create_bucket(Bucket=_BUCKET, CreateBucketConfiguration=location)

    def go(self, how: Mode) -> None:
        self._front.set(how)

    def come_back(self) -> None:
        self._front.set("reset")  # what hung for long is not answered late
        self._front.set("pass")

    def read(self, key: str) -> bytes:
        content: bytes = self._client.get_object(Bucket=_BUCKET, Key=key)["Body"].read()
        return content

    def close(self) -> None:
        self._client.close()
        self._front.close()
        self._server.stop()


class Queue(Protocol):
    name: str
    variables: Mapping[str, str]

    def purge(self) -> None: ...

    def close(self) -> None: ...


class OrmQueue:
    """Messages lie in the database of the run."""

    name = "orm"
    variables: Mapping[str, str] = {}

    def __init__(self, database: Any) -> None:
        self._database = database

    def purge(self) -> None:
        self._database.ask("DELETE FROM django_q_ormq")

    def close(self) -> None: ...


class RedisQueue:
    """Keeps nothing on disk, so that a restart empties it."""

    name = "redis"
    variables: Mapping[str, str]

    def __init__(self, folder: Path) -> None:
        self._server = RedisServer(folder).start()
        self.variables = {"MLSERVE_QUEUE": self._server.url}

    def purge(self) -> None:
        self._server.stop()
        time.sleep(1)
        self._server.start()

    def close(self) -> None:
        self._server.stop()


class SmallDisk:
    """A file system in memory below the run's folder, which can be full without any memory being used for that."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.lacking = _lacking_for_a_disk() or self._mount()

    def _mount(self) -> str:
        # In a namespace of its own, so that the mount is gone with this process, however it ends.
        if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNS) != 0:
            return "this user may not make mount namespaces"
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        options = ["-t", "tmpfs", "-o", f"size={_DISK_BYTES},mode=755", "tmpfs", str(self._folder)]
        done = subprocess.run(["mount", *options], check=False, capture_output=True, text=True)
        return done.stderr.strip()

    @contextmanager
    def full(self) -> Iterator[None]:
        try:
            while not self._resize(self._used_bytes() + 4096):
                time.sleep(0.01)  # it grew meanwhile
            yield
        finally:
            self._resize(_DISK_BYTES)

    def _used_bytes(self) -> int:
        stat = os.statvfs(self._folder)
        return (stat.f_blocks - stat.f_bfree) * stat.f_frsize

    def _resize(self, size_bytes: int) -> bool:
        command = ["mount", "-o", f"remount,size={size_bytes}", str(self._folder)]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0

    def close(self) -> None:
        if not self.lacking:
            with contextlib.suppress(OSError, subprocess.CalledProcessError):
                subprocess.run(["umount", "--lazy", str(self._folder)], check=False, capture_output=True)


def _lacking_for_a_disk() -> str:
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("mount") is None:
        return "only root can make a small disk: run it as root"
    return ""
