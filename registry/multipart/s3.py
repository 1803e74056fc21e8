"""Parts of an upload go to S3 directly, by pre-signed addresses; S3 puts them together (a multipart upload).

The sender needs neither credentials nor the web server, which could not take large bodies on Lambda. Each address is
good for one part of one upload, for an hour, and for exactly as many bytes as the part has.
"""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from django.core.files.storage import Storage

from mlserve.errors import BadUpload, Conflict, Unavailable, UploadIncomplete
from registry.multipart.parts import ADDRESS_SECONDS, Staging, require_all
from registry.storage.s3_client import Answered, answering

# S3's codes for absent uploads and objects.
_ABSENT = frozenset({"NoSuchUpload", "NoSuchKey", "404"})
# And for parts that differ from those that were listed a moment ago, because the sender sent one of them again.
_CHANGED = frozenset({"InvalidPart", "InvalidPartOrder", "EntityTooSmall"})


class S3Transfer:
    def __init__(self, storage: Storage) -> None:
        s3: Any = storage  # django-storages has no types
        self._client = s3.client
        self._bucket: str = s3.bucket_name
        self._encryption: dict[str, str] = s3.object_parameters
        self._transfer_config = s3.transfer_config

    def origin(self) -> str:
        with self._answering():
            place = {"Bucket": self._bucket, "Key": "any"}
            address = urlsplit(self._client.generate_presigned_url("put_object", Params=place))
        return f"{address.scheme}://{address.netloc}"

    def begin(self, staging: Staging) -> str:
        with self._answering():
            begun = self._client.create_multipart_upload(**self._encryption, **self._object(staging))
        return str(begun["UploadId"])

    def address_of(self, staging: Staging, number: int) -> str | None:
        part = {"PartNumber": number, "ContentLength": staging.bytes_of(number)}
        with self._answering():
            return str(
                self._client.generate_presigned_url(
                    "upload_part", Params={**self._multipart(staging), **part}, ExpiresIn=ADDRESS_SECONDS
                )
            )

    def receive(self, staging: Staging, number: int, stream: IO[bytes]) -> None:
        raise Conflict(
            "The parts of this upload go to the storage directly: POST their numbers to …/parts for the addresses."
        )

    def arrived(self, staging: Staging) -> list[int]:
        parts = self._parts(staging)
        if parts is None:
            return list(range(1, staging.part_count + 1)) if self._is_whole(staging) else []
        return sorted(number for number, (size, _) in parts.items() if size == staging.bytes_of(number))

    def complete(self, staging: Staging) -> None:
        parts = self._parts(staging)
        if parts is None and self._is_whole(staging):
            return  # by an earlier request that was interrupted
        require_all(staging, {number: size for number, (size, _) in (parts or {}).items()})
        listed = [{"PartNumber": number, "ETag": (parts or {})[number][1]} for number in sorted(parts or {})]
        try:
            with self._answering(expected=_ABSENT | _CHANGED):
                self._client.complete_multipart_upload(MultipartUpload={"Parts": listed}, **self._multipart(staging))
        except Answered as error:
            if error.code in _CHANGED:
                raise UploadIncomplete("A part was sent again meanwhile. Submit again.") from error
            if not self._is_whole(staging):
                raise Conflict("The upload was abandoned meanwhile. Open a new one: POST /api/uploads.") from error

    def fetch(self, staging: Staging, path: Path) -> None:
        try:
            with self._answering(expected=_ABSENT):
                self._client.download_file(**self._object(staging), Filename=str(path), Config=self._transfer_config)
        except Answered as error:
            raise BadUpload("The uploaded bytes are not in the storage any more. Upload the file again.") from error
        except OSError as error:
            raise Unavailable(f"{path} cannot be written: {error.strerror or error}.") from error

    def discard(self, staging: Staging) -> None:
        try:
            with self._answering(expected=_ABSENT):
                self._client.abort_multipart_upload(**self._multipart(staging))
        except Answered:
            pass  # completed, or discarded before
        with self._answering():
            self._client.delete_object(**self._object(staging))

    def _parts(self, staging: Staging) -> dict[int, tuple[int, str]] | None:
        """Size and ETag by number; None when the transfer is over, one way or the other."""
        pages = self._client.get_paginator("list_parts").paginate(**self._multipart(staging))
        try:
            with self._answering(expected=_ABSENT):
                return {
                    int(part["PartNumber"]): (int(part["Size"]), str(part["ETag"]))
                    for page in pages
                    for part in page.get("Parts", ())
                }
        except Answered:
            return None

    def _is_whole(self, staging: Staging) -> bool:
        try:
            with self._answering(expected=_ABSENT):
                found = self._client.head_object(**self._object(staging))
        except Answered:
            return False
        return bool(found["ContentLength"] == staging.size_bytes)

    def _object(self, staging: Staging) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": staging.key}

    def _multipart(self, staging: Staging) -> dict[str, str]:
        return {**self._object(staging), "UploadId": staging.transfer_id}

    def _answering(self, *, expected: frozenset[str] = frozenset()) -> AbstractContextManager[None]:
        what = "The artifact storage did not take or give the upload"
        return answering(what, self._bucket, expected=expected)
