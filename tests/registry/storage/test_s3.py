"""Artifacts in S3: what only S3 can get wrong. The promises that it shares with a disk are in test_storage.py."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import storages

from mlserve.errors import ArtifactUnavailable, BadUpload, Unavailable
from registry.storage import s3
from registry.storage.artifacts import local_copy, put, store
from registry.storage.digest import Digest, digest_of
from tests.meanwhile import at_once
from tests.paths import ROOT
from tests.stand_ins.aws import StandIn
from tests.stand_ins.interference import Interference, between

SMALL, LARGE = b"a fitted pipeline" * 10_000, os.urandom(2**20) * 35


@pytest.fixture(params=[SMALL, LARGE], ids=["at once", "in parts"])
def artifact(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "model.joblib"
    path.write_bytes(request.param)
    return path


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.joblib"
    path.write_bytes(SMALL)
    return path


@pytest.fixture
def between_us(aws: StandIn, artifacts_in_s3: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Interference]:
    """S3 behind a proxy that interferes."""
    with between(aws.endpoint_url) as interference:
        monkeypatch.setenv("AWS_ENDPOINT_URL", interference.endpoint_url)
        storages._storages.clear()  # type: ignore[attr-defined]  # its client knows the other address
        yield interference


def objects(aws: StandIn, bucket: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = aws.client("s3").list_objects_v2(Bucket=bucket).get("Contents", [])
    return listed


def head(aws: StandIn, bucket: str, digest: Digest) -> dict[str, Any]:
    found: dict[str, Any] = aws.client("s3").head_object(Bucket=bucket, Key=digest.key, ChecksumMode="ENABLED")
    return found


def fetch(digest: Digest) -> bytes:
    with local_copy(digest) as path:
        return path.read_bytes()


def test_it_encrypts_and_describes_what_it_stores(aws: StandIn, artifacts_in_s3: str, artifact: Path) -> None:
    digest = digest_of(artifact)

    store(artifact, digest)

    found = head(aws, artifacts_in_s3, digest)
    assert found["ServerSideEncryption"] == "AES256"
    assert found["Metadata"] == {"sha256": digest.sha256}
    assert found["ContentLength"] == digest.size_bytes


def test_it_encrypts_data(aws: StandIn, artifacts_in_s3: str) -> None:
    put("predictions/1/input.json", b"[]")

    found = aws.client("s3").head_object(Bucket=artifacts_in_s3, Key="predictions/1/input.json")
    assert found["ServerSideEncryption"] == "AES256"


def test_it_stores_in_parts_what_it_gives_back(artifacts_in_s3: str, artifact: Path) -> None:
    store(artifact, digest_of(artifact))

    assert fetch(digest_of(artifact)) == artifact.read_bytes()


def test_it_does_not_send_again_what_is_there(between_us: Interference, artifact: Path) -> None:
    store(artifact, digest_of(artifact))
    sent = between_us.count("PUT")

    store(artifact, digest_of(artifact))

    assert between_us.count("PUT") == sent


@pytest.mark.parametrize("wrong", [SMALL[:-1], b"x" * len(SMALL)], ids=["cut short", "of the same size"])
def test_it_replaces_what_cannot_be_the_artifact(
    aws: StandIn, artifacts_in_s3: str, artifact: Path, wrong: bytes
) -> None:
    digest = digest_of(artifact)
    aws.client("s3").put_object(Bucket=artifacts_in_s3, Key=digest.key, Body=wrong)

    store(artifact, digest)

    assert fetch(digest) == artifact.read_bytes()


def test_it_refuses_a_file_that_changed_since_it_was_hashed(aws: StandIn, artifacts_in_s3: str, artifact: Path) -> None:
    digest = digest_of(artifact)
    with artifact.open("r+b") as file:
        file.write(b"changed")

    with pytest.raises(BadUpload, match="changed while it was stored"):
        store(artifact, digest)

    assert objects(aws, artifacts_in_s3) == []
    assert "Uploads" not in aws.client("s3").list_multipart_uploads(Bucket=artifacts_in_s3)


def test_it_asks_again_where_a_connection_broke(between_us: Interference, artifact: Path) -> None:
    digest = digest_of(artifact)
    store(artifact, digest)
    between_us.cuts, between_us.cut_after = 1, 50_000

    assert fetch(digest) == artifact.read_bytes()


def test_it_gives_up_when_connections_keep_breaking(between_us: Interference, small: Path, settings: Any) -> None:
    store(small, digest_of(small))
    between_us.cuts, between_us.cut_after = 100, 10

    with pytest.raises(Unavailable, match="connection broke 2 times") as refusal:
        fetch(digest_of(small))

    assert not isinstance(refusal.value, ArtifactUnavailable)
    assert list((settings.MLSERVE_CACHE_DIR / "incoming").iterdir()) == []


def test_it_asks_again_when_s3_is_busy(between_us: Interference, small: Path) -> None:
    busy = iter([(503, "SlowDown"), (503, "SlowDown")])
    between_us.before = lambda asked: next(busy, None) if asked.method == "PUT" else None

    store(small, digest_of(small))

    assert between_us.count("PUT") == 3


def test_it_fetches_from_s3_once(between_us: Interference, small: Path, settings: Any) -> None:
    digest = digest_of(small)
    store(small, digest)

    assert [fetch(digest) for _ in range(3)] == [SMALL] * 3

    assert between_us.count("GET") == 1
    assert (settings.MLSERVE_CACHE_DIR / digest.key).read_bytes() == SMALL


def test_it_fetches_once_for_threads_that_ask_together(between_us: Interference, small: Path) -> None:
    digest = digest_of(small)
    store(small, digest)

    assert at_once(*[lambda: fetch(digest)] * 8) == [SMALL] * 8
    assert between_us.count("GET") == 1


def test_it_fetches_again_what_was_damaged_here(artifacts_in_s3: str, small: Path) -> None:
    digest = digest_of(small)
    store(small, digest)
    with local_copy(digest) as path:
        path.write_bytes(b"damaged")

    assert fetch(digest) == SMALL


@pytest.mark.parametrize("code", ["AccessDenied", "ExpiredToken", "SignatureDoesNotMatch"])
def test_it_says_what_credentials_must_be_allowed(between_us: Interference, small: Path, code: str) -> None:
    between_us.before = lambda _asked: (403, code)

    with pytest.raises(Unavailable, match=rf"S3 refused \({code}: told to\).*allowed to list, get, put and delete"):
        fetch(digest_of(small))


def test_it_says_that_a_storage_cannot_encrypt(between_us: Interference, small: Path) -> None:
    """As MinIO does without a key server."""
    answer = (501, "Server side encryption specified but KMS is not configured")
    between_us.before = lambda asked: answer if asked.method == "PUT" else None

    with pytest.raises(Unavailable, match="MLSERVE_BUCKET_ENCRYPTION=none"):
        store(small, digest_of(small))


@pytest.fixture(params=["no bucket", "no server", "no credentials"])
def broken(request: pytest.FixtureRequest, artifacts_in_s3: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """What is wrong, as the message says it."""
    artifacts = settings.STORAGES["artifacts"]
    bucket = "absent" if request.param == "no bucket" else artifacts_in_s3
    settings.STORAGES = {
        **settings.STORAGES,
        "artifacts": {**artifacts, "OPTIONS": {**artifacts["OPTIONS"], "bucket_name": bucket}},
    }
    if request.param == "no server":
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    if request.param == "no credentials":
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    return {
        "no bucket": "there is no bucket absent. .*create_bucket absent",
        "no server": "Could not connect",
        "no credentials": "there are no credentials",
    }[request.param]


def test_it_says_why_s3_does_not_take_the_file(broken: str, small: Path) -> None:
    with pytest.raises(Unavailable, match=broken) as refusal:
        store(small, digest_of(small))

    assert refusal.value.status == 503


def test_it_says_why_s3_does_not_give_the_file(broken: str, small: Path) -> None:
    with pytest.raises(Unavailable, match=broken) as refusal:
        fetch(digest_of(small))

    assert not isinstance(refusal.value, ArtifactUnavailable)


def test_it_says_why_it_is_not_ready(broken: str) -> None:
    """S3 answers alike where an object and where its bucket is missing."""
    with pytest.raises(Unavailable, match=broken):
        storages["artifacts"].exists("ready")


def test_it_addresses_the_region_in_what_it_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 redirects what names no region, and a browser's request with a signature does not survive that."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    storage = s3.S3ArtifactStorage(bucket_name="artifacts")

    place = {"Bucket": "artifacts", "Key": "uploads/1", "UploadId": "1", "PartNumber": 1}
    address = storage.client.generate_presigned_url("upload_part", Params=place)

    assert address.startswith("https://artifacts.s3.eu-central-1.amazonaws.com/uploads/1?")
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in address
    assert "checksum" not in address.lower()


def test_it_takes_the_region_from_either_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-3")

    assert s3.S3ArtifactStorage(bucket_name="artifacts").client.meta.region_name == "eu-west-3"


_STORE_AND_FETCH = """
import resource, sys, django
django.setup()
from pathlib import Path
from registry.storage.digest import digest_of
from registry.storage.artifacts import local_copy, store
from django.core.files.storage import storages

path = Path(sys.argv[1])
storages["artifacts"].exists("ready")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
store(path, digest_of(path))
with local_copy(digest_of(path)) as copy:
    assert copy.stat().st_size == path.stat().st_size
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def child_environment(tmp_path: Path, **more: str) -> dict[str, str]:
    return {
        **os.environ, "DJANGO_SETTINGS_MODULE": "mlserve.settings", "MLSERVE_DATA_DIR": str(tmp_path / "var"),
        "PYTHONPATH": str(ROOT), **more,
    }  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has another unit elsewhere")
def test_it_never_holds_a_whole_artifact_in_memory(aws: StandIn, tmp_path: Path) -> None:
    path = tmp_path / "model.joblib"
    with path.open("wb") as file:
        for _ in range(120):
            file.write(os.urandom(2**20))

    done = subprocess.run(
        [sys.executable, "-c", _STORE_AND_FETCH, path],
        env=child_environment(tmp_path, MLSERVE_BUCKET=aws.new_bucket()),
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 100 * 1024  # kibibytes: boto3 holds up to eleven parts of 5 MiB


def test_it_loads_no_client_of_aws_without_a_bucket(tmp_path: Path) -> None:
    """It would cost each process a fifth of a second and 30 MB."""
    code = (
        "import django, sys; django.setup(); import mlserve.urls\n"
        "import registry.storage.artifacts, predictions.runtime.loaded_models\n"
        "from django.core.files.storage import storages; storages['artifacts'].exists('ready')\n"
        "print(sorted({'boto3', 'botocore', 'storages'} & set(sys.modules)))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        env=child_environment(tmp_path), capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert done.stdout.strip() == "[]", done.stderr
