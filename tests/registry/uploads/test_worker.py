"""What a worker does with an upload: published, refused, tried again or given up."""

import hashlib
import os
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import FileSystemStorage, storages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone
from rest_framework.test import APIClient

from registry.inspection.inspect import Inspected, inspect
from registry.inspection.report import CHECKS, Check, Report, with_skipped
from registry.inspection.version_request import VersionRequest
from registry.models import Model, ModelVersion
from registry.models.direct_upload import DirectUpload, Status
from registry.multipart.destination import current_transfer
from registry.multipart.parts import PART_BYTES
from registry.storage.artifacts import local_copy
from registry.storage.digest import Digest
from registry.uploads.worker import inspect_next
from tests.conftest import EXAMPLE
from tests.registry.uploading import opened, row, send, submit, submitted

HOLDER = "host:1"
NO_PICKLE = b"no pickle"

Inspect = Callable[..., Inspected]


@pytest.fixture
def content(penguins_artifact: Path) -> bytes:
    return penguins_artifact.read_bytes()


@pytest.fixture
def files() -> dict[str, SimpleUploadedFile]:
    """What comes along with the example's artifact."""
    names = {"schema": "validation.py", "sample": "sample.csv", "expected": "expected.csv", "form": "form.json"}
    return {field: SimpleUploadedFile(name, (EXAMPLE / name).read_bytes()) for field, name in names.items()}


@pytest.fixture
def accept(penguins_artifact: Path, penguins_request: VersionRequest, inspect_once: Inspect) -> Inspect:
    """The example's own result, for whatever is inspected."""

    def inspect(*_: Any, **__: Any) -> Inspected:
        return inspect_once(penguins_artifact, penguins_request)

    return inspect


def staged_files() -> list[str]:
    """What lies in the storage outside of the artifacts."""
    storage: Any = storages["artifacts"]
    if isinstance(storage, FileSystemStorage):
        folder = Path(storage.location) / "uploads"
        return [str(path) for path in folder.rglob("*") if path.is_file()]
    objects = storage.bucket.objects.filter(Prefix=f"{storage.location}/uploads/")
    return [found.key for found in objects]


def test_it_publishes_an_upload(
    as_owner: APIClient, place: str, content: bytes, files: dict[str, Any], settings: Any
) -> None:
    upload = submitted(as_owner, content, title="Penguins", public="true", promote="true", **files)

    assert inspect_next(holder=HOLDER)

    body = as_owner.get(upload["url"]).json()
    assert (body["status"], body["progress"], body["problem"]) == ("published", None, None)
    assert {check["status"] for check in body["report"]["checks"]} == {"passed"}
    assert body["version"] == {
        "model": "penguins",
        "tag": "1.0",
        "url": as_owner.get(body["version"]["url"]).json()["url"],
    }
    version = ModelVersion.objects.get()
    assert version.is_live
    assert (version.uploaded_by, version.model.title, version.model.is_public) == ("owner", "Penguins", True)
    assert version.form_config is not None
    with local_copy(Digest(version.sha256, version.size_bytes)) as path:
        assert path.read_bytes() == content
    assert staged_files() == []
    assert not row(upload).has_bytes
    assert not (settings.MLSERVE_CACHE_DIR / "uploads").exists()


def test_it_publishes_what_came_in_several_parts(
    as_owner: APIClient, place: str, content: bytes, accept: Inspect
) -> None:
    large = content + bytes(PART_BYTES)
    submitted(as_owner, large)

    inspect_next(holder=HOLDER, inspect=accept)

    assert ModelVersion.objects.get().sha256 == hashlib.sha256(large).hexdigest()


def test_it_refuses_what_fails_a_check(as_owner: APIClient, place: str) -> None:
    upload = submitted(as_owner, NO_PICKLE)

    assert inspect_next(holder=HOLDER)

    body = as_owner.get(upload["url"]).json()
    assert (body["status"], body["problem"]["code"]) == ("refused", "artifact-rejected")
    assert "The file unpickles: no" in body["problem"]["detail"]
    assert [check["name"] for check in body["report"]["checks"] if check["status"] == "failed"] == ["loads"]
    assert not Model.objects.exists()
    assert staged_files() == []


def test_it_inspects_nothing_but_what_was_announced(as_owner: APIClient, place: str) -> None:
    upload = opened(as_owner, len(NO_PICKLE))
    send(as_owner, upload, NO_PICKLE)
    submit(as_owner, upload, b"other bytes")

    def never(*_: Any, **__: Any) -> Inspected:
        raise AssertionError("these bytes must not be read")

    assert inspect_next(holder=HOLDER, inspect=never)

    body = as_owner.get(upload["url"]).json()
    assert (body["status"], body["problem"]["code"], body["report"]) == ("refused", "digest-mismatch", None)
    assert staged_files() == []


def test_it_publishes_the_same_bytes_again(as_owner: APIClient, content: bytes, penguins: ModelVersion) -> None:
    upload = submitted(as_owner, content)

    inspect_next(holder=HOLDER)

    body = as_owner.get(upload["url"]).json()
    assert (body["status"], body["version"]["tag"]) == ("published", "1.0")
    assert body["report"]["accepted"] is True
    assert ModelVersion.objects.count() == 1


def test_it_refuses_a_tag_that_was_taken_meanwhile(
    as_owner: APIClient, content: bytes, publish_penguins: Callable[..., Any]
) -> None:
    upload = submitted(as_owner, content + b"other")
    publish_penguins("1.0")

    inspect_next(holder=HOLDER)

    body = as_owner.get(upload["url"]).json()
    assert (body["status"], body["problem"]["code"]) == ("refused", "tag-taken")


def test_it_shows_how_far_it_is(as_owner: APIClient, content: bytes, accept: Inspect) -> None:
    upload = submitted(as_owner, content)
    seen = []

    def look(*_: Any, on_check: Callable[[Any], None]) -> Inspected:
        seen.append(as_owner.get(upload["url"]).json())
        on_check((Check("loads", "passed", "Loaded."),))
        seen.append(as_owner.get(upload["url"]).json())
        return accept()

    inspect_next(holder=HOLDER, inspect=look)

    assert [body["status"] for body in seen] == ["inspecting", "inspecting"]
    assert seen[0]["progress"] == {"step": "inspecting", "checks": []}
    assert seen[1]["progress"] == {"step": "inspecting", "checks": [{"name": "loads", "status": "passed"}]}


def test_it_hands_the_checks_on_while_it_inspects(content: bytes, tmp_path: Path) -> None:
    artifact = tmp_path / "model.joblib"
    artifact.write_bytes(content)
    seen: list[list[str]] = []

    inspected = inspect(
        artifact, VersionRequest(), on_check=lambda checks: seen.append([check.name for check in checks])
    )

    assert inspected.report.is_accepted
    assert seen == sorted(seen, key=len)
    assert all(names == list(CHECKS)[: len(names)] for names in seen)


def test_it_stops_when_another_worker_has_it(as_owner: APIClient, content: bytes, accept: Inspect) -> None:
    upload = submitted(as_owner, content)

    def inspect(*_: Any, **__: Any) -> Inspected:
        DirectUpload.objects.requeue_held_by([HOLDER], now=timezone.now())
        return accept()

    inspect_next(holder=HOLDER, inspect=inspect)

    assert row(upload).status == Status.QUEUED
    assert not ModelVersion.objects.exists()
    inspect_next(holder=HOLDER, inspect=accept)
    assert row(upload).status == Status.PUBLISHED


def test_it_waits_for_an_unreachable_storage(
    as_owner: APIClient, artifacts_in_s3: str, settings: Any, accept: Inspect, content: bytes
) -> None:
    upload = submitted(as_owner, content)
    reachable = settings.STORAGES
    artifacts = reachable["artifacts"]
    unreachable = {**artifacts, "OPTIONS": {**artifacts["OPTIONS"], "endpoint_url": "http://127.0.0.1:9"}}

    settings.STORAGES = {**reachable, "artifacts": unreachable}
    assert not inspect_next(holder=HOLDER)
    assert (row(upload).status, row(upload).attempts) == (Status.QUEUED, 0)

    settings.STORAGES = reachable
    assert inspect_next(holder=HOLDER, inspect=accept)
    assert row(upload).status == Status.PUBLISHED


def test_it_does_not_wait_for_ever(as_owner: APIClient, artifacts_in_s3: str, settings: Any) -> None:
    upload = submitted(as_owner, NO_PICKLE)
    DirectUpload.objects.update(submitted_at=timezone.now() - timedelta(hours=2))
    artifacts = settings.STORAGES["artifacts"]
    unreachable = {**artifacts, "OPTIONS": {**artifacts["OPTIONS"], "endpoint_url": "http://127.0.0.1:9"}}
    settings.STORAGES = {**settings.STORAGES, "artifacts": unreachable}

    inspect_next(holder=HOLDER)

    assert row(upload).status == Status.FAILED
    assert (row(upload).problem or {})["code"] == "unavailable"


def test_it_refuses_bytes_that_are_gone(as_owner: APIClient, place: str) -> None:
    """A bucket deletes what lies under uploads/ after some days."""
    upload = submitted(as_owner, NO_PICKLE)
    current_transfer().discard(row(upload).staging)

    inspect_next(holder=HOLDER)

    assert row(upload).status == Status.REFUSED
    assert "Upload the file again" in (row(upload).problem or {})["detail"]


def test_it_cleans_up_after_a_killed_predecessor(as_owner: APIClient, settings: Any) -> None:
    left = settings.MLSERVE_CACHE_DIR / "uploads" / "artifact"
    left.parent.mkdir(parents=True)
    left.write_bytes(bytes(1000))
    submitted(as_owner, NO_PICKLE)

    inspect_next(holder=HOLDER)

    assert not left.exists()


def test_it_evicts_cached_artifacts(as_owner: APIClient, settings: Any) -> None:
    """A function on Lambda has half a gibibyte for both."""
    settings.MLSERVE_CACHE_BYTES = 1000
    cached = [settings.MLSERVE_CACHE_DIR / "sha256" / "ab" / name for name in ("old", "new")]
    for age, path in zip((100, 1), cached, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(500))
        os.utime(path, (time.time() - age,) * 2)
    submitted(as_owner, bytes(300))

    inspect_next(holder=HOLDER)

    assert [path.exists() for path in cached] == [False, True]


def test_it_keeps_a_report_that_no_database_would_take(as_owner: APIClient) -> None:
    upload = submitted(as_owner, NO_PICKLE)
    failed = Check("loads", "failed", "An artifact may say \0 or \ud800.", "Retrain.")

    def inspect(*_: Any, **__: Any) -> Inspected:
        return Inspected(Report(with_skipped((failed,))), {})

    inspect_next(holder=HOLDER, inspect=inspect)

    assert row(upload).status == Status.REFUSED
    assert "may say \ufffd or ?" in (row(upload).problem or {})["detail"]


def test_it_says_when_nothing_waits(db: None) -> None:
    assert not inspect_next(holder=HOLDER)


def test_it_takes_the_oldest_first(as_owner: APIClient) -> None:
    first, second = submitted(as_owner, NO_PICKLE), submitted(as_owner, NO_PICKLE, tag="2.0")

    inspect_next(holder=HOLDER)

    assert (row(first).status, row(second).status) == (Status.REFUSED, Status.QUEUED)


def test_it_needs_no_account_any_more(as_owner: APIClient, content: bytes, accept: Inspect) -> None:
    """The account that uploaded it may be deleted before a worker comes to it."""
    upload = submitted(as_owner, content)
    User.objects.all().delete()

    inspect_next(holder=HOLDER, inspect=accept)

    assert row(upload).status == Status.PUBLISHED
    assert ModelVersion.objects.get().uploaded_by == "owner"
