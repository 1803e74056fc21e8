"""Artifacts in S3: private, encrypted, under keys made from their digests.

django-storages and boto3's managed transfers do the work. An object is replaced only where its size, or the digest that
its writer noted, shows that it cannot be the artifact. Two writers of one key send the same bytes.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
from django.conf import settings
from storages.backends.s3 import S3Storage

from mlserve.errors import PayloadLost
from registry.storage.cache import ArtifactCache, CheckedFile
from registry.storage.digest import Digest, not_stored
from registry.storage.s3_client import IMPATIENT, Answered, answering, config, region, transfer_config

_ABSENT = frozenset({"NoSuchKey", "404"})


class S3ArtifactStorage(S3Storage):  # type: ignore[misc]  # django-storages has no types
    """Every method raises Unavailable when S3 does not answer, or refuses."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            **{"client_config": config(), "transfer_config": transfer_config(), "region_name": region(), **options}
        )
        self._made: tuple[int, Any] = (0, None)
        self._made_for_listing: tuple[int, Any] = (0, None)

    @property
    def connection(self) -> Any:
        """boto3's, one per process: django-storages makes one per thread, which takes 0.3 s and several megabytes.

        Threads may share its client. A forked process makes its own, for it must not use its parent's sockets.
        """
        pid, connection = self._made
        if pid != os.getpid():
            connection = self._new_connection(self.client_config)
            self._made = (os.getpid(), connection)
        return connection

    def _new_connection(self, client_config: Any) -> Any:
        with answering("The artifact storage cannot be reached", self.bucket_name):
            return boto3.Session().resource(
                "s3", region_name=self.region_name, endpoint_url=self.endpoint_url, config=client_config
            )

    @property
    def bucket(self) -> Any:
        return self.connection.Bucket(self.bucket_name)

    @property
    def client(self) -> Any:
        return self.connection.meta.client

    def get_object_parameters(self, name: str) -> dict[str, Any]:
        """An artifact says in its metadata which bytes it is, so that `holds` need not read them."""
        folder, _, sha256 = name.rpartition("/")
        noted = {"Metadata": {"sha256": sha256}} if folder.startswith("sha256/") else {}
        return {**super().get_object_parameters(name), **noted}

    def exists(self, name: str) -> bool:
        """Raises Unavailable, also when there is no bucket: S3 answers HEAD alike for both."""
        with answering("The artifact storage cannot be reached", self.bucket_name):
            if super().exists(name):
                return True
            self.client.head_bucket(Bucket=self.bucket_name)
        return False

    def holds(self, digest: Digest) -> bool:
        """S3 keeps the bytes themselves from rotting, so what their writer noted is enough to know them by."""
        what = "The artifact storage does not tell what it holds"
        try:
            with answering(what, self.bucket_name, expected=_ABSENT):
                found = self.client.head_object(Bucket=self.bucket_name, Key=digest.key)
        except Answered:
            return False
        return Digest(found["Metadata"].get("sha256", ""), found["ContentLength"]) == digest

    def local_copy(self, digest: Digest) -> AbstractContextManager[Path]:
        cache = ArtifactCache(Path(settings.MLSERVE_CACHE_DIR), settings.MLSERVE_CACHE_BYTES)
        return cache.copy_of(digest, lambda file: self._download(digest, file))

    def require_there(self) -> None:
        """Any other call raises Unavailable where the bucket cannot be reached."""

    def get(self, key: str) -> bytes:
        try:
            with answering("The storage did not give the data", self.bucket_name, expected=_ABSENT):
                content: bytes = self.client.get_object(Bucket=self.bucket_name, Key=key)["Body"].read()
        except Answered as error:
            raise PayloadLost(f"The storage does not hold {key} any more.") from error
        return content

    def delete(self, name: str) -> None:
        with answering(f"The storage did not delete {name}", self.bucket_name):
            super().delete(name)

    def listed(self, folder: str, *, after: str) -> Iterator[tuple[str, datetime]]:
        """Only sweeps ask, in a worker that predicts: it gives up after seconds instead of waiting for a minute."""
        pid, connection = self._made_for_listing
        if pid != os.getpid():
            connection = self._new_connection(self.client_config.merge(IMPATIENT))
            self._made_for_listing = (os.getpid(), connection)
        pages = connection.meta.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket_name, Prefix=f"{folder}/", StartAfter=f"{folder}/{after}"
        )
        with answering("The storage does not tell what it holds", self.bucket_name):
            for page in pages:
                for found in page.get("Contents", ()):
                    yield found["Key"], found["LastModified"]

    def _save(self, name: str, content: Any) -> str:
        with answering("The artifact storage did not take the data, nothing was stored", self.bucket_name):
            saved: str = super()._save(name, content)
        return saved

    def _download(self, digest: Digest, file: CheckedFile) -> None:
        """Raises ArtifactUnavailable when it is not there, or what writing to `file` raises."""
        try:
            with answering(f"The {digest} cannot be fetched", self.bucket_name, expected=_ABSENT):
                self.client.download_fileobj(self.bucket_name, digest.key, file, Config=self.transfer_config)
        except Answered as error:
            with answering(f"The {digest} cannot be fetched", self.bucket_name):
                self.client.head_bucket(Bucket=self.bucket_name)  # S3 answers HEAD alike for a missing bucket
            raise not_stored(digest) from error
