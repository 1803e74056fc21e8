"""Rows of several requests in one transaction; and each request is told of errors in its own rows only."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_q.models import OrmQ

from predictions.models import PendingWakeUp, Prediction
from predictions.serving import recording
from predictions.serving.recording import record
from predictions.status import Status
from registry.models import ModelVersion
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE_SECONDS = 20
New = Callable[..., Prediction]
_INSERT = re.compile(r"(?:(\d+) times: )?INSERT INTO .predictions_prediction")


@pytest.fixture
def new(penguins: ModelVersion) -> New:
    """`new()` is a queued prediction that is not stored yet."""

    def make(**values: Any) -> Prediction:
        fields = {"version": penguins, "row_count": 1, "inputs": "[{}]", "created_at": timezone.now()}
        return Prediction(**{**fields, **values})

    return make


@pytest.fixture
def ended(new: New) -> New:
    def make(**values: Any) -> Prediction:
        fields = {"status": Status.SUCCEEDED, "result": "{}", "finished_at": timezone.now()}
        return new(**{**fields, **values})

    return make


@contextmanager
def writes_blocked() -> Iterator[None]:
    """Other writers of predictions wait for the end of the block."""
    with transaction.atomic():  # which takes SQLite's write lock at once
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("LOCK TABLE predictions_prediction IN SHARE ROW EXCLUSIVE MODE")
        yield


class Callers:
    """Threads that record, each on a connection of its own."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []
        self.errors: dict[str, Exception] = {}
        self.inserts: list[int] = []
        self.commits = 0

    def record(self, *predictions: Prediction) -> None:
        thread = threading.Thread(target=self._run, args=(predictions,), daemon=True)
        thread.start()
        self._threads.append(thread)

    def _run(self, predictions: tuple[Prediction, ...]) -> None:
        connection.ensure_connection()
        captured = CaptureQueriesContext(connection)
        try:
            with captured:
                record(predictions)
        except DatabaseError as error:
            self.errors[str(predictions[0].pk)] = error
        finally:
            statements = [query["sql"] for query in captured.captured_queries]
            self.inserts += [int(match[1] or 1) for match in map(_INSERT.match, statements) if match]
            self.commits += statements.count("COMMIT")
            connection.close()

    def record_first(self, *predictions: Prediction) -> None:
        """Returns once the rows are being written, which `writes_blocked` keeps them from."""
        self.record(*predictions)
        wait_until(lambda: recording._group._writers and not recording._group._gathered)

    def record_in_line(self, *predictions: Prediction) -> None:
        """Returns once the caller waits for the present write."""
        before = len(recording._group._gathered)
        self.record(*predictions)
        wait_until(lambda: len(recording._group._gathered) > before)

    def join(self) -> None:
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)
        assert not any(thread.is_alive() for thread in self._threads)


@pytest.fixture
def callers() -> Callers:
    return Callers()


@pytest.fixture
def grouped_callers(monkeypatch: pytest.MonkeyPatch) -> Callers:
    """Of whom one writes at a time, on either database."""
    monkeypatch.setattr(recording._group, "_most_writers", 1)
    return Callers()


def stored(*predictions: Prediction) -> list[bool]:
    return [Prediction.objects.filter(pk=prediction.pk).exists() for prediction in predictions]


def test_it_has_stored_the_row_when_it_returns(new: New) -> None:
    prediction = new()

    record([prediction])

    assert stored(prediction) == [True]
    prediction.status, prediction.finished_at = Status.CANCELED, timezone.now()
    prediction.save()  # an update, for the object knows that its row exists
    assert Prediction.objects.get().status == Status.CANCELED


@pytest.mark.parametrize("is_watched", [False, True])
@pytest.mark.parametrize("count", [1, 3])
def test_it_stores_every_column_as_django_does(new: New, owner: User, count: int, is_watched: bool) -> None:
    now = timezone.now()
    values = {
        "status": Status.FAILED,
        "owner": owner,
        "outputs": "predict,predict_proba",
        "row_count": 12345,
        "inputs": '[{"größe": "é \\u0000 % %s ? \' \\" 🐧"}]',
        "result": None,
        "warnings": '[{"row": 0}]',
        "error": '{"detail": "50 % of ?"}',
        "created_at": now - timedelta(microseconds=1),
        "started_at": now,
        "finished_at": now + timedelta(days=1),
        "predict_seconds": 0.1 + 0.2,
        "attempts": 3,
    }
    ours, djangos = [new(**values) for _ in range(count)], [new(**values) for _ in range(count)]
    ours.append(new())
    djangos.append(new(created_at=ours[-1].created_at))

    with CaptureQueriesContext(connection) if is_watched else transaction.atomic():
        record(ours)
    Prediction.objects.bulk_create(djangos)

    columns = [field.attname for field in Prediction._meta.concrete_fields if field.attname != "id"]
    for mine, django in zip(ours, djangos, strict=True):
        rows = Prediction.objects.values(*columns)
        assert rows.get(pk=mine.pk) == rows.get(pk=django.pk)


def test_it_stores_rows_that_have_ended(ended: New) -> None:
    prediction = ended(lease_holder="", predict_seconds=1.5)

    record([prediction])

    found = Prediction.objects.get()
    assert (found.pk, found.status, found.result, found.predict_seconds) == (prediction.pk, "succeeded", "{}", 1.5)


def test_it_stores_more_rows_of_one_caller_than_a_group_may_have(ended: New) -> None:
    record([ended() for _ in range(600)])

    assert Prediction.objects.count() == 600


def test_it_writes_a_lone_row_without_a_transaction_around_it(ended: New, callers: Callers) -> None:
    callers.record(ended())
    callers.join()

    assert (callers.inserts, callers.commits) == ([1], 0)


def test_it_puts_the_rows_of_several_requests_into_one_transaction(ended: New, grouped_callers: Callers) -> None:
    first, others = ended(), [ended() for _ in range(6)]
    with writes_blocked():
        grouped_callers.record_first(first)
        for prediction in others[:4]:
            grouped_callers.record_in_line(prediction)
        grouped_callers.record_in_line(*others[4:])
    grouped_callers.join()

    # PostgreSQL takes all rows in one statement, which is a transaction of its own.
    assert (sorted(grouped_callers.inserts), grouped_callers.commits) in (([1, 6], 1), ([1, 1], 0))
    assert grouped_callers.errors == {}
    assert all(stored(first, *others))


def test_it_writes_a_few_groups_at_the_same_time_on_postgresql(ended: New, callers: Callers) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite lets one connection write at a time")
    predictions = [ended() for _ in range(10)]
    with writes_blocked():
        for prediction in predictions:
            callers.record(prediction)
        wait_until(lambda: (recording._group._writers, len(recording._group._gathered)) == (4, 6))
    callers.join()

    assert all(stored(*predictions))
    assert len(callers.inserts) == 5


def test_it_answers_no_caller_before_the_transaction_is_committed(ended: New, grouped_callers: Callers) -> None:
    """Every caller finds its own row, on a connection of its own, as soon as it is answered."""
    found: list[bool] = []

    def record_and_look() -> None:
        prediction = ended()
        record([prediction])
        found.extend(stored(prediction))
        connection.close()

    threads = [threading.Thread(target=record_and_look, daemon=True) for _ in range(16)]
    with writes_blocked():
        for thread in threads:
            thread.start()
        wait_until(lambda: len(recording._group._gathered) == 15)
    for thread in threads:
        thread.join(PATIENCE_SECONDS)

    assert found == [True] * 16


BAD: dict[str, dict[str, Any]] = {
    "unknown version": {"version_id": 2**31 - 1},
    "success without result": {"status": Status.SUCCEEDED, "finished_at": timezone.now()},
    "end without time": {"status": Status.FAILED},
    "no time of arrival": {"created_at": None},
    "fewer than no rows": {"row_count": -1},
}


def bad_one(new: New, kind: str) -> Prediction:
    prediction = new()
    for name, value in BAD[kind].items():
        setattr(prediction, name, value)
    return prediction


@pytest.mark.parametrize("kind", BAD)
def test_it_refuses_a_bad_row(new: New, kind: str) -> None:
    with pytest.raises(IntegrityError):
        record([bad_one(new, kind)])

    assert not Prediction.objects.exists()
    assert not OrmQ.objects.exists()
    record([new()])
    assert Prediction.objects.count() == 1


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("kind", BAD)
def test_it_refuses_only_the_caller_with_the_bad_row(new: New, grouped_callers: Callers, kind: str, place: int) -> None:
    """Whether that one writes for the others, stands among them or comes last."""
    bad, good = bad_one(new, kind), [new() for _ in range(3)]
    group = [[prediction] for prediction in good[1:]]
    group.insert(place, [bad])
    with writes_blocked():
        grouped_callers.record_first(good[0])
        for predictions in group:
            grouped_callers.record_in_line(*predictions)
    grouped_callers.join()

    assert list(grouped_callers.errors) == [str(bad.pk)]
    assert isinstance(grouped_callers.errors[str(bad.pk)], IntegrityError)
    assert stored(bad, *good) == [False, True, True, True]


def test_it_refuses_all_rows_of_the_caller_with_a_bad_one(new: New, grouped_callers: Callers) -> None:
    mine, theirs = [new(), new(row_count=-1), new()], new()
    with writes_blocked():
        grouped_callers.record_first(new())
        grouped_callers.record_in_line(*mine)
        grouped_callers.record_in_line(theirs)
    grouped_callers.join()

    assert list(grouped_callers.errors) == [str(mine[0].pk)]
    assert stored(*mine, theirs) == [False, False, False, True]


@pytest.mark.parametrize("count", [1, 2])
def test_it_takes_part_in_the_transaction_of_its_caller(new: New, count: int) -> None:
    with transaction.atomic():
        record([new() for _ in range(count)])
        assert Prediction.objects.count() == count
        transaction.set_rollback(True)

    assert not Prediction.objects.exists()
    assert not OrmQ.objects.exists()


def test_it_writes_nothing_of_others_in_the_transaction_of_a_caller(new: New, grouped_callers: Callers) -> None:
    """Others wait for this very transaction: were they to join it, its rollback would delete their rows."""
    first, second, mine = new(), new(), new()
    with writes_blocked():
        grouped_callers.record_first(first)
        grouped_callers.record_in_line(second)
        record([mine])
        assert stored(first, second, mine) == [False, False, True]
        transaction.set_rollback(True)
    grouped_callers.join()

    assert stored(first, second, mine) == [True, True, False]
    assert grouped_callers.errors == {}


def test_it_wakes_a_worker_for_what_is_queued_only(new: New, ended: New) -> None:
    record([ended(), ended()])
    record([ended()])
    assert (OrmQ.objects.count(), PendingWakeUp.objects.count()) == (0, 0)

    record([ended(), new()])
    assert OrmQ.objects.count() == 1


@pytest.mark.parametrize("queued_first", [True, False])
def test_it_wakes_a_worker_once_for_a_group_with_something_queued(
    new: New, ended: New, grouped_callers: Callers, queued_first: bool
) -> None:
    group = [ended(), new(), new()] if not queued_first else [new(), ended(), new()]
    with writes_blocked():
        grouped_callers.record_first(ended())
        for prediction in group:
            grouped_callers.record_in_line(prediction)
    grouped_callers.join()

    assert Prediction.objects.count() == 4
    assert OrmQ.objects.count() == 1


def test_it_wakes_a_worker_after_the_rows_can_be_seen(new: New, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def look() -> None:
        connection.close()  # another connection than the one that wrote
        seen.append(Prediction.objects.count())

    monkeypatch.setattr("predictions.queue.wake_ups.wake", look)
    record([new()])
    record([new(), new()])
    with transaction.atomic():
        record([new()])
        assert len(seen) == 2

    assert seen == [1, 3, 4]
