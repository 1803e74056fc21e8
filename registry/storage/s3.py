"""Artifacts in S3: private, encrypted, under keys made from their digests, never overwritten.

A conditional request (`If-None-Match: *`) makes S3 refuse to write over an object, however many write at once. An
object that cannot be the artifact, by its size or by the digest that its writer noted, is replaced (`If-Match` with
what was seen there); in a versioned bucket it stays as an old version.
"""

import base64
import hashlib
import logging
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any

from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from storages.backends.s3 import S3Storage
from storages.utils import clean_name

from mlserve.errors import BadUpload, PayloadLost, Unavailable
from registry.storage.cache import ArtifactCache
from registry.storage.digest import CHUNK_BYTES, Digest, not_stored
from registry.storage.s3_client import Answered, answering, config, region

log = logging.getLogger(__name__)

# Files up to this size go in one request, larger ones in parts, of which one at a time is in memory.
PART_BYTES = 16 * 2**20
# What S3 takes of one upload.
_MOST_PARTS = 10_000
_ABSENT = frozenset({"NoSuchKey", "404"})
# Somebody else was faster: the object is there (412), is just being written (409), or was replaced or deleted.
_LOST = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict", "409", "NoSuchUpload", "NoSuchKey"})
_PAUSES_SECONDS = (0.0, 0.5, 2.0, 5.0)
# Connections that break while an artifact arrives: so often it goes on from there.
_MOST_BREAKS = 3


class S3ArtifactStorage(S3Storage):  # type: ignore[misc]  # django-storages has no types
    """One client per process: making one takes as long as a dozen requests, and threads may share it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"client_config": config(), "region_name": region(), **options})
        self._made: tuple[int, Any] = (0, None)

    @property
    def client(self) -> Any:
        """botocore's. A forked process makes its own, for it must not share its parent's connections."""
        pid, client = self._made
        if pid != os.getpid():
            with answering("The artifact storage cannot be reached", self.bucket_name):
                client = self._create_session().client(
                    "s3",
                    region_name=self.region_name,
                    endpoint_url=self.endpoint_url,
                    config=self.client_config,
                    verify=self.verify,
                )
            self._made = (os.getpid(), client)
        return client

    def exists(self, name: str) -> bool:
        """Raises Unavailable, also when there is no bucket: S3 answers HEAD alike for both."""
        place = self._place(name)
        if self._seen(place) is not None:
            return True
        with answering("The artifact storage cannot be reached", self.bucket_name):
            self.client.head_bucket(Bucket=self.bucket_name)
        return False

    def store(self, path: Path, digest: Digest) -> None:
        """Put the file's bytes under `digest.key`, unless they are there. Raises Unavailable, or BadUpload when they
        are other bytes than the digest's.
        """
        place = self._place(digest.key)
        for pause_seconds in _PAUSES_SECONDS:
            time.sleep(pause_seconds)
            seen = self._seen(place)
            if seen is not None and _is(seen, digest):
                return
            condition = {"IfNoneMatch": "*"} if seen is None else {"IfMatch": seen["ETag"]}
            try:
                self._send(path, digest, place, condition)
            except Answered:
                continue  # look again: most likely it is there
            return
        raise Unavailable(f"Others store the {digest} at the same time. Try again in a moment.")

    def local_copy(self, digest: Digest) -> AbstractContextManager[Path]:
        cache = ArtifactCache(Path(settings.MLSERVE_CACHE_DIR), settings.MLSERVE_CACHE_BYTES)
        return cache.copy_of(digest, lambda: self._chunks(digest))

    def require_there(self) -> None:
        """Whatever is done next tells."""

    def put(self, key: str, content: bytes) -> None:
        with answering("The storage did not take the data, nothing was accepted", self.bucket_name):
            self.client.put_object(
                Body=content, ChecksumSHA256=_checksum(content), **self._place(key), **self.object_parameters
            )

    def get(self, key: str) -> bytes:
        try:
            with answering("The storage did not give the data", self.bucket_name, expected=_ABSENT):
                content: bytes = self.client.get_object(**self._place(key))["Body"].read()
        except Answered as error:
            raise PayloadLost(f"The storage does not hold {key} any more.") from error
        return content

    def remove(self, key: str) -> None:
        with answering(f"The storage did not delete {key}", self.bucket_name):
            self.client.delete_object(**self._place(key))

    def _place(self, key: str) -> dict[str, str]:
        return {"Bucket": self.bucket_name, "Key": self._normalize_name(clean_name(key))}

    def _seen(self, place: dict[str, str]) -> dict[str, Any] | None:
        """What S3 says about an object; None when it is not there, or its bucket."""
        try:
            with answering("The artifact storage does not tell what it holds", self.bucket_name, expected=_ABSENT):
                seen: dict[str, Any] = self.client.head_object(**place)
        except Answered:
            return None
        return seen

    def _send(self, path: Path, digest: Digest, place: dict[str, str], condition: dict[str, str]) -> None:
        """Raises Answered when the condition does not hold any more."""
        about = {"Metadata": {"sha256": digest.sha256}, **self.object_parameters}
        what = "The artifact storage did not take the file, nothing was registered"
        try:
            with path.open("rb") as file, answering(what, self.bucket_name, expected=_LOST):
                if digest.size_bytes <= PART_BYTES:
                    self._send_at_once(file, digest, {**place, **about, **condition})
                else:
                    self._send_in_parts(file, digest, place, about, condition)
        except OSError as error:
            raise BadUpload(f"{path} cannot be read: {error.strerror}.") from error

    def _send_at_once(self, file: IO[bytes], digest: Digest, request: dict[str, Any]) -> None:
        content = file.read(digest.size_bytes + 1)
        _require(digest, hashlib.sha256(content).hexdigest())
        self.client.put_object(Body=content, ChecksumSHA256=_checksum(content), **request)

    def _send_in_parts(
        self, file: IO[bytes], digest: Digest, place: dict[str, str], about: dict[str, Any], condition: dict[str, str]
    ) -> None:
        begun = self.client.create_multipart_upload(ChecksumAlgorithm="SHA256", **place, **about)
        upload = {**place, "UploadId": begun["UploadId"]}
        try:
            parts = list(self._sent_parts(file, digest, upload))
            self.client.complete_multipart_upload(MultipartUpload={"Parts": parts}, **upload, **condition)
        except BaseException:
            self._abort(upload)
            raise

    def _sent_parts(self, file: IO[bytes], digest: Digest, upload: dict[str, str]) -> Iterator[dict[str, Any]]:
        """What S3 wants to be told of each part when it puts them together."""
        part_bytes, sha256 = max(PART_BYTES, -(-digest.size_bytes // _MOST_PARTS)), hashlib.sha256()
        number = 0
        while content := file.read(part_bytes):
            number += 1
            sha256.update(content)
            checksum = _checksum(content)
            sent = self.client.upload_part(Body=content, PartNumber=number, ChecksumSHA256=checksum, **upload)
            yield {"PartNumber": number, "ETag": sent["ETag"], "ChecksumSHA256": checksum}
        _require(digest, sha256.hexdigest())

    def _abort(self, upload: dict[str, str]) -> None:
        try:
            self.client.abort_multipart_upload(**upload)
        except (ClientError, BotoCoreError) as error:  # what went wrong before is what matters
            log.warning("Parts of %s stay in the storage until the bucket drops them: %s", upload["Key"], error)

    def _chunks(self, digest: Digest) -> Iterator[bytes]:
        """The object's bytes, unchecked. Raises ArtifactUnavailable when it is not there, or Unavailable."""
        place, got, breaks = self._place(digest.key), 0, 0
        what = f"The {digest} cannot be fetched"
        while True:
            part = {"Range": f"bytes={got}-"} if got else {}
            try:
                with answering(what, self.bucket_name, expected=_ABSENT):
                    body = self.client.get_object(**place, **part)["Body"]
            except Answered as error:
                raise not_stored(digest) from error
            try:
                for chunk in body.iter_chunks(CHUNK_BYTES):
                    got += len(chunk)
                    yield chunk
            except BotoCoreError as error:
                breaks += 1
                if breaks > _MOST_BREAKS:
                    raise Unavailable(f"{what}: the connection broke {breaks} times ({error}).") from error
                if got >= digest.size_bytes:
                    return
            else:
                return
            finally:
                body.close()


def _is(seen: dict[str, Any], digest: Digest) -> bool:
    """S3 keeps the bytes themselves from rotting, so what their writer noted is enough to know them by."""
    return Digest(seen["Metadata"].get("sha256", ""), seen["ContentLength"]) == digest


def _require(digest: Digest, sha256: str) -> None:
    if sha256 != digest.sha256:
        raise BadUpload(f"The file changed while it was stored: it was the {digest}. Nothing was registered.")


def _checksum(content: bytes) -> str:
    """As S3 wants it: it refuses a request whose body arrives otherwise."""
    return base64.b64encode(hashlib.sha256(content).digest()).decode()
