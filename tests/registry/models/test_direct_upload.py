"""The states of an upload: each transition happens once among parallel processes, and one is inspected at a time."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from registry.models.direct_upload import DirectUpload, Status, inspection_task_seconds
from tests.meanwhile import at_once

pytestmark = pytest.mark.django_db(transaction=True)

Make = Callable[..., DirectUpload]


@pytest.fixture
def now() -> datetime:
    return timezone.now()


@pytest.fixture
def make(owner: User, now: datetime) -> Make:
    """`make(Status.QUEUED)`: an upload in that state."""

    def made(status: Status, **more: Any) -> DirectUpload:
        fields = {
            "owner": owner, "size_bytes": 1, "part_bytes": 1, "created_at": now, "submitted_at": now, "status": status,
            **more,
        }  # fmt: skip
        return DirectUpload.objects.create(**fields)

    return made


def status_of(upload: DirectUpload) -> str:
    return DirectUpload.objects.get(pk=upload.pk).status


def test_it_inspects_one_at_a_time(make: Make, now: datetime) -> None:
    first, second = make(Status.QUEUED), make(Status.QUEUED)

    assert DirectUpload.objects.claim(holder="a", now=now) == first
    assert DirectUpload.objects.claim(holder="b", now=now) is None
    assert status_of(second) == Status.QUEUED


def test_it_gives_an_upload_to_one_of_many_workers(make: Make, now: datetime) -> None:
    for _ in range(4):
        make(Status.QUEUED)

    claimed = at_once(*(lambda name=name: DirectUpload.objects.claim(holder=name, now=now) for name in "abcd"))

    assert len([upload for upload in claimed if upload]) == 1
    assert DirectUpload.objects.inspecting().count() == 1


def test_the_database_itself_holds_that_one_is_inspected(make: Make, now: datetime) -> None:
    make(Status.INSPECTING, lease_expires_at=now)

    with pytest.raises(IntegrityError), transaction.atomic():
        make(Status.INSPECTING, lease_expires_at=now)


def test_it_is_submitted_or_abandoned_but_not_both(make: Make, now: datetime) -> None:
    for _ in range(5):
        upload = make(Status.OPEN, submitted_at=None)

        results = at_once(
            lambda upload=upload: DirectUpload.objects.submit(upload, now=now),  # type: ignore[misc]
            lambda upload=upload: DirectUpload.objects.cancel(upload.pk, now=now),  # type: ignore[misc]
        )

        assert sorted(results) == [False, True]
        assert status_of(upload) == (Status.QUEUED if results[0] else Status.CANCELED)


def test_it_requeues_what_a_dead_worker_held(make: Make, now: datetime) -> None:
    upload = make(Status.QUEUED)
    DirectUpload.objects.claim(holder="dead", now=now)

    assert DirectUpload.objects.requeue_expired(now=now + timedelta(seconds=inspection_task_seconds())) == 0
    assert DirectUpload.objects.requeue_expired(now=now + timedelta(seconds=inspection_task_seconds() + 16)) == 1

    upload.refresh_from_db()
    assert (upload.status, upload.attempts, upload.progress) == (Status.QUEUED, 1, None)


def test_it_takes_back_what_a_clock_that_was_ahead_gave_for_long(make: Make, now: datetime) -> None:
    """Else no other upload would be inspected until then."""
    make(Status.QUEUED)
    DirectUpload.objects.claim(holder="dead", now=now + timedelta(days=365))

    assert DirectUpload.objects.requeue_expired(now=now) == 1


def test_it_gives_up_after_some_attempts(make: Make, now: datetime, settings: Any) -> None:
    settings.MLSERVE_MAX_ATTEMPTS = 2
    upload = make(Status.QUEUED)
    for _ in range(2):
        DirectUpload.objects.claim(holder="dead", now=now)
        DirectUpload.objects.requeue_held_by(["dead"], now=now)

    upload.refresh_from_db()
    assert upload.status == Status.FAILED
    assert upload.problem is not None
    assert upload.problem["code"] == "given-up"
    assert "2 times" in upload.problem["detail"]


def test_it_listens_only_to_whom_has_the_lease(make: Make, now: datetime) -> None:
    make(Status.QUEUED)
    late = DirectUpload.objects.claim(holder="late", now=now)
    DirectUpload.objects.requeue_held_by(["late"], now=now)
    current = DirectUpload.objects.claim(holder="late", now=now)  # the same process, even
    assert late is not None
    assert current is not None

    assert not DirectUpload.objects.record_progress(late, {"step": "storing", "checks": []})
    assert not DirectUpload.objects.finish(late, Status.REFUSED, now=now)
    assert not DirectUpload.objects.requeue_claimed(late)
    assert DirectUpload.objects.finish(current, Status.PUBLISHED, now=now)
    assert not DirectUpload.objects.finish(current, Status.REFUSED, now=now)
    assert status_of(current) == Status.PUBLISHED


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": "lost"},
        {"status": Status.PUBLISHED},
        {"status": Status.OPEN, "finished_at": timezone.now()},
        {"status": Status.INSPECTING},
        {"status": Status.QUEUED, "lease_expires_at": timezone.now()},
    ],
)
def test_the_database_refuses_what_cannot_be(make: Make, wrong: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        make(**wrong)


def test_it_calls_itself_by_what_it_becomes(make: Make) -> None:
    assert str(make(Status.OPEN, file_name="model.pkl")) == "model.pkl"
    assert str(make(Status.QUEUED, file_name="model.pkl", model_name="census", tag="1.0")) == "model.pkl → census 1.0"
