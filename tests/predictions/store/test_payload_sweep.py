"""Payload objects that no row refers to are found and deleted, and no others."""

import os
import socket
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock
from uuid import UUID, uuid4

import pytest
from django.core.files.storage import storages
from django.core.management import call_command
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone
from uuid_utils.compat import uuid7

from mlserve.errors import PayloadLost, Unavailable
from predictions import tasks
from predictions.models import Prediction, payloads
from predictions.store import payload_sweep
from predictions.store.payload_sweep import delete_unreferenced
from registry.storage import artifacts
from tests.predictions.conftest import Submit

pytestmark = pytest.mark.django_db

LARGE = b'["large"]'


@pytest.fixture(autouse=True, params=["disk", "s3"])
def kind(request: pytest.FixtureRequest, settings: Any) -> None:
    """Nothing fits into a row, with either storage."""
    if request.param == "s3":
        request.getfixturevalue("artifacts_in_s3")
    use_for_all(settings)


def use_for_all(settings: Any) -> None:
    settings.MLSERVE_ROW_BYTES = 5
    artifacts.put("sha256/in-use", b"")  # a disk where nothing was ever stored counts as one that is not mounted


def leave(prediction_id: UUID | None = None, name: str = "inputs") -> str:
    """What a process leaves that dies between storing an object and writing its row; the reference."""
    return payloads.inline_or_store(LARGE, prediction_id or uuid7(), name)


def is_there(reference: str) -> bool:
    try:
        return payloads.fetch(reference) == LARGE
    except PayloadLost:
        return False


def sweep_in(**age: float) -> int:
    """A sweep after so long."""
    return delete_unreferenced(now=timezone.now() + timedelta(**age), seconds=30)


def test_it_deletes_what_a_dead_process_left(db: None) -> None:
    left = [leave(), leave(name="result")]

    assert sweep_in(hours=25) == 2

    assert [is_there(reference) for reference in left] == [False, False]


def test_it_leaves_alone_what_may_get_a_row(db: None) -> None:
    young = leave()

    assert sweep_in(hours=23) == 0

    assert is_there(young)


def test_it_deletes_no_object_that_rows_refer_to(submit_rows: Submit) -> None:
    ended, queued = submit_rows(), submit_rows()
    Prediction.objects.filter(pk=queued.pk).update(created_at=timezone.now() + timedelta(hours=1))
    tasks.drain()
    left = leave(ended.pk, "result")  # by an attempt that had lost its lease

    assert sweep_in(days=3) == 1

    assert not is_there(left)
    for prediction in Prediction.objects.all():
        assert prediction.rows
        assert prediction.result_json


def test_it_keeps_an_object_that_is_being_replaced(submit_rows: Submit) -> None:
    prediction = submit_rows()
    old = prediction.inputs
    new = payloads.replace(old, LARGE, prediction.pk, "inputs")
    Prediction.objects.filter(pk=prediction.pk).update(inputs=new)

    assert sweep_in(days=3) == 0

    assert is_there(new)
    assert payloads.fetch(old)


def test_it_deletes_nothing_of_another_database_with_the_same_key(db: None, clean_moment: None) -> None:
    theirs = leave()
    migrations = MigrationRecorder(connection).migration_qs
    first = migrations.earliest("applied")
    migrations.filter(pk=first.pk).update(applied=first.applied - timedelta(days=400))
    payloads.database_made_at.cache_clear()

    assert sweep_in(days=3) == 0
    assert is_there(theirs)


@pytest.fixture
def clean_moment() -> Iterator[None]:
    """What a process remembers of its database does not outlive a test that changes it."""
    yield
    payloads.database_made_at.cache_clear()


def test_it_deletes_nothing_of_another_service_in_the_same_bucket(db: None, settings: Any) -> None:
    theirs = leave()
    settings.SECRET_KEY, own = "another service's key", settings.SECRET_KEY

    assert sweep_in(days=3) == 0
    assert is_there(theirs)

    settings.SECRET_KEY_FALLBACKS = [own]
    assert sweep_in(days=3) == 1


def test_it_leaves_alone_what_is_older_than_the_database(db: None) -> None:
    """A service that was started with a new database by mistake must not delete what the right one refers to."""
    a_year_ago = int((time.time() - 365 * 86_400) * 1000)
    old = leave(UUID(int=a_year_ago << 80 | uuid4().int >> 48))

    assert sweep_in(days=3) == 0

    assert is_there(old)


def test_it_leaves_alone_what_no_prediction_made(db: None) -> None:
    foreign = [f"{payloads.folders()[0]}/{name}" for name in ("notes.txt", "abc/notes.txt", "abc/no-id/notes.txt")]
    for key in foreign:
        artifacts.put(key, b"notes")

    assert sweep_in(days=3) == 0

    assert [artifacts.get(key) for key in foreign] == [b"notes"] * 3


@pytest.mark.parametrize("start", [0, 0x7FF, 0xFFF])
def test_it_reaches_everything_wherever_it_begins(db: None, monkeypatch: pytest.MonkeyPatch, start: int) -> None:
    monkeypatch.setattr("secrets.randbelow", lambda _shards: start)
    monkeypatch.setattr(payload_sweep, "_AT_ONCE", 2)
    for end in ("000", "7fe", "7ff", "800", "fff"):
        leave(UUID(uuid7().hex[:-3] + end))

    assert sweep_in(days=3) == 5
    assert sweep_in(days=3) == 0


def test_it_begins_anywhere(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = Mock(side_effect=lambda *_, **__: iter(()))
    monkeypatch.setattr(artifacts, "listed", listed)

    for _ in range(20):
        sweep_in(days=3)

    assert len({str(call) for call in listed.call_args_list}) > 10


def test_it_stops_when_its_time_is_up(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        leave()
    clock = iter([0.0, 1.0, 2.0])  # when it begins, before the first batch, and before the first object
    monkeypatch.setattr(payload_sweep, "_seconds_now", lambda: next(clock, 9.0))

    assert delete_unreferenced(now=timezone.now() + timedelta(days=3), seconds=5) == 1


def test_it_asks_the_database_a_few_times_for_hundreds(db: None, django_assert_max_num_queries: Any) -> None:
    for _ in range(20):
        leave()

    with django_assert_max_num_queries(3):
        assert sweep_in(days=3) == 20


def test_it_leaves_the_rest_of_the_sweep_to_a_storage_that_answers(
    db: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    left = leave()
    with monkeypatch.context() as unreachable:
        unreachable.setattr(artifacts, "remove_or_raise", Mock(side_effect=Unavailable("It does not answer.")))
        assert sweep_in(days=3) == 0

    assert "Payloads without a row stay until the next sweep: It does not answer." in caplog.text
    assert sweep_in(days=3) == 1
    assert not is_there(left)


def test_it_asks_no_storage_that_is_known_to_be_unreachable(db: None) -> None:
    leave()
    payloads.unreachable.begin("predictions")

    assert sweep_in(days=3) == 0


@pytest.mark.parametrize("kind", ["s3"], indirect=True)
def test_it_keeps_no_worker_for_a_bucket_that_hangs(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The task of a sweep has 65 seconds, and its worker predicts otherwise."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        started = time.monotonic()

        assert sweep_in(days=3) == 0

    assert time.monotonic() - started < 20


class TestOnDisk:
    @pytest.fixture(autouse=True)
    def kind(self, settings: Any) -> None:
        use_for_all(settings)

    def path_of(self, reference: str) -> Path:
        return Path(storages["artifacts"].path(payloads.keys(reference)[0]))

    def test_it_is_a_part_of_the_sweep(self, db: None, capsys: pytest.CaptureFixture[str]) -> None:
        left, young = self.path_of(leave()), self.path_of(leave())
        os.utime(left, (time.time() - 90_000,) * 2)

        call_command("sweep_predictions")

        assert "1 inputs and results without a prediction deleted." in capsys.readouterr().out
        assert (left.exists(), young.exists()) == (False, True)

    def test_it_leaves_no_empty_folder(self, db: None) -> None:
        left = self.path_of(leave())

        sweep_in(days=3)

        assert left.parent.parent.exists()
        assert not left.parent.exists()
