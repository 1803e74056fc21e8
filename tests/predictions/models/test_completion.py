"""The arrows between states, on the real database."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from predictions.models import Prediction
from predictions.models.completion import Completion, lease_duration
from predictions.status import Status
from predictions.worker import claiming
from registry.models import ModelVersion
from tests.meanwhile import at_once
from tests.predictions.conftest import Submit

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def claim(holder: str = "worker", now: datetime | None = None) -> list[Prediction]:
    return claiming.claim(holder=holder, now=now or timezone.now())


def finish(predictions: list[Prediction], holder: str = "worker") -> int:
    completions = [Completion(each.pk, result={"predictions": ["x"]}) for each in predictions]
    return Prediction.objects.finish(completions, holder=holder, now=timezone.now())


def test_it_claims_the_oldest_first_and_all_of_its_version(submit_rows: Submit) -> None:
    submitted = [submit_rows() for _ in range(3)]

    claimed = claim()

    assert [each.pk for each in claimed] == [each.pk for each in submitted]
    assert set(Prediction.objects.values_list("status", "lease_holder", "attempts")) == {("running", "worker", 1)}


def test_it_claims_at_most_batch_rows(submit_rows: Submit, penguin: dict[str, Any], settings: Any) -> None:
    settings.MLSERVE_BATCH_ROWS = 5
    for _ in range(4):
        submit_rows([penguin, penguin])

    assert [len(claim()), len(claim()), len(claim())] == [2, 2, 0]


def test_it_claims_a_large_prediction_alone(submit_rows: Submit, penguin: dict[str, Any], settings: Any) -> None:
    settings.MLSERVE_BATCH_ROWS = 2
    submit_rows([penguin] * 5)
    submit_rows()

    assert [each.row_count for each in claim()] == [5]


def test_it_claims_one_at_a_time_when_the_version_is_not_batchable(submit_rows: Submit, penguins: ModelVersion) -> None:
    ModelVersion.objects.filter(pk=penguins.pk).update(is_batchable=False)
    submit_rows()
    submit_rows()

    assert [len(claim()), len(claim())] == [1, 1]


def test_it_claims_alone_what_was_tried_before(submit_rows: Submit) -> None:
    for _ in range(3):
        submit_rows()
    claim()
    Prediction.objects.requeue_held_by(["worker"], now=timezone.now())

    assert [len(claim()), len(claim()), len(claim())] == [1, 1, 1]


def test_it_claims_nothing_when_nothing_waits(penguins: ModelVersion) -> None:
    assert claim() == []


def test_it_finishes_a_batch_in_one_statement(submit_rows: Submit, django_assert_num_queries: Any) -> None:
    for _ in range(20):
        submit_rows()
    batch = claim()

    with django_assert_num_queries(1):
        count = finish(batch)

    assert count == 20
    assert Prediction.objects.filter(status=Status.SUCCEEDED, lease_holder="", lease_expires_at=None).count() == 20


def test_it_stores_results_and_errors_of_one_batch_separately(submit_rows: Submit) -> None:
    good, bad = submit_rows(), submit_rows()
    claim()
    completions = [
        Completion(good.pk, result={"predictions": ["Ä \x00 'quoted'"]}, predict_seconds=0.5),
        Completion(bad.pk, error={"title": "no"}, predict_seconds=0.25),
    ]

    Prediction.objects.finish(completions, holder="worker", now=timezone.now())

    good.refresh_from_db()
    bad.refresh_from_db()
    assert (good.status, good.result, good.error) == ("succeeded", '{"predictions":["Ä \\u0000 \'quoted\'"]}', None)
    assert (bad.status, bad.result, bad.error) == ("failed", None, '{"title":"no"}')
    assert (good.predict_seconds, bad.predict_seconds) == (0.5, 0.25)
    assert good.finished_at is not None


def test_it_changes_nothing_when_it_finishes_twice(submit_rows: Submit) -> None:
    submit_rows()
    batch = claim()
    finish(batch)

    assert finish(batch) == 0


def test_it_ignores_a_result_whose_lease_was_lost(submit_rows: Submit) -> None:
    submit_rows()
    slow = claim("slow")
    Prediction.objects.requeue_expired(now=timezone.now() + lease_duration() + timedelta(seconds=1))
    claim("quick")

    assert finish(slow, "slow") == 0
    assert Prediction.objects.get().lease_holder == "quick"


def test_it_keeps_a_lease_that_has_not_run_out(submit_rows: Submit) -> None:
    submit_rows()
    claim()

    assert Prediction.objects.requeue_expired(now=timezone.now()) == 0


def test_it_takes_back_what_a_clock_that_was_ahead_gave_for_long(submit_rows: Submit) -> None:
    submit_rows()
    claim(now=timezone.now() + timedelta(days=365))

    assert Prediction.objects.requeue_expired(now=timezone.now()) == 1


def test_it_gives_up_after_the_allowed_attempts(submit_rows: Submit, settings: Any) -> None:
    settings.MLSERVE_MAX_ATTEMPTS = 2
    prediction = submit_rows()
    for _ in range(2):
        claim()
        Prediction.objects.requeue_held_by(["worker"], now=timezone.now())

    prediction.refresh_from_db()
    assert prediction.status == Status.FAILED
    assert prediction.error
    assert "given-up" in prediction.error


def test_it_cancels_only_what_is_queued(submit_rows: Submit) -> None:
    queued, running = submit_rows(), None
    assert Prediction.objects.cancel(queued.pk, now=timezone.now())
    running = submit_rows()
    claim()

    assert not Prediction.objects.cancel(running.pk, now=timezone.now())
    assert not Prediction.objects.cancel(queued.pk, now=timezone.now())
    assert sorted(Prediction.objects.values_list("status", flat=True)) == ["canceled", "running"]


def test_it_expires_what_waited_too_long(submit_rows: Submit, settings: Any) -> None:
    submit_rows()
    late = timezone.now() + timedelta(seconds=settings.MLSERVE_QUEUE_SECONDS + 1)

    assert Prediction.objects.expire(now=timezone.now()) == 0
    assert Prediction.objects.expire(now=late) == 1
    assert Prediction.objects.get().status == Status.EXPIRED


def test_it_deletes_in_batches_what_ended_before_the_limit(submit_rows: Submit) -> None:
    for _ in range(5):
        submit_rows()
    finish(claim())
    waiting = submit_rows()

    deleted = Prediction.objects.delete_ended_before(timezone.now() + timedelta(days=1), batch=2)

    assert deleted == 5
    assert list(Prediction.objects.all()) == [waiting]


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": "lost"},
        {"status": "succeeded"},
        {"status": "running", "lease_expires_at": None},
        {"status": "queued", "finished_at": NOW},
        {"status": "queued", "lease_expires_at": NOW},
        {"status": "succeeded", "finished_at": NOW, "result": None},
    ],
    ids=str,
)
def test_it_lets_the_database_refuse_impossible_rows(submit_rows: Submit, wrong: dict[str, Any]) -> None:
    prediction = submit_rows()

    with pytest.raises(IntegrityError), transaction.atomic():
        Prediction.objects.filter(pk=prediction.pk).update(**wrong)


@pytest.mark.django_db(transaction=True)
def test_it_never_gives_a_row_to_two_workers(submit_rows: Submit, settings: Any) -> None:
    settings.MLSERVE_BATCH_ROWS = 3
    for _ in range(60):
        submit_rows()
    taken: list[Any] = []

    def work(holder: str) -> None:
        while batch := claim(holder):
            taken.extend(each.pk for each in batch)
            finish(batch, holder)

    at_once(*(partial(work, str(number)) for number in range(4)))

    assert len(taken) == len(set(taken)) == 60
    assert Prediction.objects.filter(status=Status.SUCCEEDED).count() == 60
