"""The contract of a place for parts, over this server's disk and over S3."""

import io
import os
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import FileSystemStorage, storages

from mlserve.errors import BadRequest, BadUpload, Conflict, Unavailable, UploadIncomplete
from registry.multipart.destination import current_transfer
from registry.multipart.parts import PART_BYTES, Staging, Transfer, part_bytes_for

CONTENT = os.urandom(PART_BYTES) + b"and the rest"


@pytest.fixture(params=["disk", "s3"])
def transfer(request: pytest.FixtureRequest) -> Transfer:
    if request.param == "s3":
        request.getfixturevalue("artifacts_in_s3")
    return current_transfer()


@pytest.fixture
def staging(transfer: Transfer) -> Staging:
    """A transfer of `CONTENT` that has just begun."""
    begun = Staging("uploads/one", "", len(CONTENT), PART_BYTES)
    return replace(begun, transfer_id=transfer.begin(begun))


def send(transfer: Transfer, staging: Staging, number: int, content: bytes | None = None) -> None:
    start = (number - 1) * staging.part_bytes
    part = CONTENT[start : start + staging.bytes_of(number)] if content is None else content
    address = transfer.address_of(staging, number)
    if address is None:
        transfer.receive(staging, number, io.BytesIO(part))
        return
    headers = {"Content-Type": "application/octet-stream"}
    request = urllib.request.Request(address, part, headers, method="PUT")
    with urllib.request.urlopen(request, timeout=30) as response:
        assert response.status == 200


def send_all(transfer: Transfer, staging: Staging) -> None:
    for number in (2, 1):
        send(transfer, staging, number)


def fetched(transfer: Transfer, staging: Staging, folder: Path) -> bytes:
    transfer.fetch(staging, folder / "fetched")
    return (folder / "fetched").read_bytes()


def test_it_puts_the_parts_together(transfer: Transfer, staging: Staging, tmp_path: Path) -> None:
    send_all(transfer, staging)
    transfer.complete(staging)

    assert fetched(transfer, staging, tmp_path) == CONTENT


def test_it_knows_which_parts_arrived(transfer: Transfer, staging: Staging) -> None:
    assert transfer.arrived(staging) == []

    send(transfer, staging, 2)

    assert transfer.arrived(staging) == [2]


def test_it_takes_a_part_again(transfer: Transfer, staging: Staging, tmp_path: Path) -> None:
    send(transfer, staging, 2, b"another one!")
    send_all(transfer, staging)
    transfer.complete(staging)

    assert fetched(transfer, staging, tmp_path) == CONTENT


def test_it_names_the_parts_that_are_missing(transfer: Transfer, staging: Staging) -> None:
    send(transfer, staging, 2)

    with pytest.raises(UploadIncomplete, match="1 of 2 parts have not arrived: 1") as refusal:
        transfer.complete(staging)

    assert refusal.value.extra() == {"missing_parts": [1]}


def test_it_is_complete_once_and_for_all(transfer: Transfer, staging: Staging, tmp_path: Path) -> None:
    send_all(transfer, staging)
    transfer.complete(staging)
    transfer.complete(staging)

    assert transfer.arrived(staging) == [1, 2]
    assert fetched(transfer, staging, tmp_path) == CONTENT


def test_it_leaves_nothing_when_it_is_discarded(transfer: Transfer, staging: Staging, tmp_path: Path) -> None:
    send_all(transfer, staging)

    transfer.discard(staging)
    transfer.discard(staging)

    assert transfer.arrived(staging) == []
    with pytest.raises((BadUpload, UploadIncomplete)):
        transfer.complete(staging)
    with pytest.raises(BadUpload, match="Upload the file again"):
        transfer.fetch(staging, tmp_path / "fetched")


def test_it_discards_what_is_complete(transfer: Transfer, staging: Staging) -> None:
    send_all(transfer, staging)
    transfer.complete(staging)

    transfer.discard(staging)

    assert transfer.arrived(staging) == []


def test_it_takes_no_part_after_the_end(transfer: Transfer, staging: Staging) -> None:
    transfer.discard(staging)

    with pytest.raises((Conflict, urllib.error.HTTPError)):
        send(transfer, staging, 2)

    assert transfer.arrived(staging) == []


@pytest.mark.parametrize(
    ("size", "part_bytes", "count"),
    [
        (1, PART_BYTES, 1),
        (PART_BYTES, PART_BYTES, 1),
        (PART_BYTES + 1, PART_BYTES, 2),
        (PART_BYTES * 10_000, PART_BYTES, 10_000),
        (PART_BYTES * 10_000 + 1, 9 * 2**20, 8889),
    ],
)
def test_it_needs_at_most_ten_thousand_parts(size: int, part_bytes: int, count: int) -> None:
    staging = Staging("uploads/one", "", size, part_bytes_for(size))

    assert staging.part_bytes == part_bytes
    assert staging.part_count == count
    assert (count - 1) * part_bytes + staging.bytes_of(count) == size


class TestOnDisk:
    @pytest.fixture
    def transfer(self) -> Transfer:
        return current_transfer()

    def folder(self) -> Path:
        storage = storages["artifacts"]
        assert isinstance(storage, FileSystemStorage)
        return Path(storage.location) / "uploads" / "one" / "parts"

    def test_it_keeps_nothing_of_a_part_that_ends_early(self, transfer: Transfer, staging: Staging) -> None:
        with pytest.raises(BadRequest, match="ended after 5 of 12 bytes"):
            transfer.receive(staging, 2, io.BytesIO(b"short"))

        assert list(self.folder().iterdir()) == []

    def test_it_keeps_the_part_that_was_there_when_another_one_breaks(
        self, transfer: Transfer, staging: Staging
    ) -> None:
        class Gone(io.BytesIO):
            def read(self, _size: int | None = -1, /) -> bytes:
                raise OSError("the client is gone")

        send(transfer, staging, 2)
        with pytest.raises(BadRequest, match="after 0 of 12"):
            transfer.receive(staging, 2, Gone())

        assert transfer.arrived(staging) == [2]

    def test_it_reads_no_more_than_a_part(self, transfer: Transfer, staging: Staging) -> None:
        stream = io.BytesIO(b"and the rest of something else")

        transfer.receive(staging, 2, stream)

        assert stream.tell() == 12

    def test_it_says_when_the_disk_does_not_take_it(self, transfer: Transfer, tmp_path: Path) -> None:
        (tmp_path / "artifacts").mkdir(exist_ok=True)
        (tmp_path / "artifacts" / "uploads").write_text("in the way")

        with pytest.raises(Unavailable, match="disk did not take"):
            transfer.begin(Staging("uploads/one", "", 1, PART_BYTES))


class TestOnS3:
    @pytest.fixture
    def transfer(self, artifacts_in_s3: str) -> Transfer:
        return current_transfer()

    def client(self) -> Any:
        storage: Any = storages["artifacts"]
        return storage.client

    def key(self) -> str:
        storage: Any = storages["artifacts"]
        return f"{storage.location}/uploads/one/artifact".lstrip("/")

    def test_it_encrypts_what_it_stages(self, transfer: Transfer, staging: Staging, artifacts_in_s3: str) -> None:
        send_all(transfer, staging)
        transfer.complete(staging)

        found = self.client().head_object(Bucket=artifacts_in_s3, Key=self.key())
        assert found["ServerSideEncryption"] == "AES256"

    def test_it_leaves_no_unfinished_transfer(self, transfer: Transfer, staging: Staging, artifacts_in_s3: str) -> None:
        send(transfer, staging, 1)

        transfer.discard(staging)

        pending = self.client().list_multipart_uploads(Bucket=artifacts_in_s3).get("Uploads", [])
        assert [each for each in pending if each["Key"] == self.key()] == []

    def test_it_refuses_a_part_of_another_size(self, transfer: Transfer, staging: Staging) -> None:
        """S3 itself refuses it, because the address names the length; a stand-in may not look."""
        send(transfer, staging, 1)
        send(transfer, staging, 2, b"too short")

        assert transfer.arrived(staging) == [1]
        with pytest.raises(UploadIncomplete, match=r"The parts 2 have another size"):
            transfer.complete(staging)

    def test_it_signs_the_size_and_the_part(self, transfer: Transfer, staging: Staging) -> None:
        address = transfer.address_of(staging, 2) or ""

        assert "partNumber=2" in address
        assert "X-Amz-Expires=3600" in address
        assert "X-Amz-SignedHeaders=content-length%3Bhost" in address
        assert "checksum" not in address.lower()

    def test_it_takes_no_part_itself(self, transfer: Transfer, staging: Staging) -> None:
        with pytest.raises(Conflict, match="go to the storage directly"):
            transfer.receive(staging, 1, io.BytesIO(b"x"))

    def test_it_says_when_the_storage_is_unreachable(self, transfer: Transfer, staging: Staging, settings: Any) -> None:
        artifacts = settings.STORAGES["artifacts"]
        unreachable = {**artifacts["OPTIONS"], "endpoint_url": "http://127.0.0.1:9"}
        settings.STORAGES = {**settings.STORAGES, "artifacts": {**artifacts, "OPTIONS": unreachable}}

        with pytest.raises(Unavailable, match="storage did not take"):
            current_transfer().arrived(staging)


def test_it_addresses_a_bucket_of_amazon_by_its_region(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser cannot follow the redirection that an address without the region leads to."""
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-function-has-one")
    options = {"bucket_name": "mine", "object_parameters": {}}
    settings.STORAGES = {
        **settings.STORAGES,
        "artifacts": {"BACKEND": "registry.storage.s3.S3ArtifactStorage", "OPTIONS": options},
    }

    address = current_transfer().address_of(Staging("uploads/one", "the-transfer", 8, 8), 1) or ""

    assert address.startswith("https://mine.s3.eu-central-1.amazonaws.com/uploads/one/artifact?")
    assert "uploadId=the-transfer" in address
    assert "X-Amz-Security-Token=a-function-has-one" in address
