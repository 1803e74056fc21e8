"""Which predictions a worker claims while others claim, too."""

import threading
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from predictions.models import Prediction
from predictions.status import Status
from predictions.worker.claiming import claim
from registry.models import ModelVersion
from tests.predictions.conftest import Submit

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE_SECONDS = 20


@pytest.fixture
def other(penguins: ModelVersion) -> ModelVersion:
    """Another version of the same artifact."""
    return ModelVersion.objects.create(
        model=penguins.model,
        tag="other",
        **{
            field.attname: getattr(penguins, field.attname)
            for field in ModelVersion._meta.concrete_fields
            if field.attname not in ("id", "model_id", "tag", "status", "published_at")
        },
    )


def submit_mixed(submit_rows: Submit, *versions: ModelVersion, each: int) -> list[Prediction]:
    return [submit_rows(version=version) for _ in range(each) for version in versions]


def test_it_gives_each_prediction_to_one_worker(
    submit_rows: Submit, penguins: ModelVersion, other: ModelVersion
) -> None:
    submitted = submit_mixed(submit_rows, penguins, other, each=60)
    claimed: list[list[Prediction]] = []
    start = threading.Barrier(4)

    def work(holder: str) -> None:
        start.wait(PATIENCE_SECONDS)
        while Prediction.objects.queued().exists():
            claimed.append(claim(holder=holder, now=timezone.now(), most_rows=lambda _: 7))
        connection.close()

    threads = [threading.Thread(target=work, args=(f"worker {number}",), daemon=True) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)

    ids = [prediction.pk for batch in claimed for prediction in batch]
    assert sorted(ids) == [prediction.pk for prediction in submitted]
    assert all(len({prediction.version_id for prediction in batch}) <= 1 for batch in claimed)
    for batch in claimed:
        stored = Prediction.objects.in_bulk([prediction.pk for prediction in batch])
        for prediction in batch:
            assert vars_of(prediction) == vars_of(stored[prediction.pk])
            assert (prediction.status, prediction.attempts) == (Status.RUNNING, 1)


def vars_of(prediction: Prediction) -> tuple[Any, ...]:
    names = ("version_id", "status", "outputs", "inputs", "row_count", "started_at", "created_at", "attempts")
    return *(getattr(prediction, name) for name in names), prediction.lease_holder


def test_it_passes_over_what_another_worker_is_claiming(
    submit_rows: Submit, penguins: ModelVersion, other: ModelVersion
) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("only one connection writes to SQLite")
    first, *others = submit_mixed(submit_rows, penguins, other, each=2)
    found: list[list[Prediction]] = []

    def work() -> None:
        found.append(claim(holder="second", now=timezone.now()))
        connection.close()

    with transaction.atomic():
        assert claim(holder="first", now=timezone.now(), most_rows=lambda _: 1) == [first]
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(PATIENCE_SECONDS)

    # The others of its version wait for the next claim, which sees what the oldest is.
    assert found == [others[:1]]


def test_it_lets_only_the_claim_itself_not_wait_for_the_disk(submit_rows: Submit) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("a setting of PostgreSQL")

    def waits() -> str:
        with connection.cursor() as cursor:
            cursor.execute("SHOW synchronous_commit")
            return str(cursor.fetchone()[0])

    submit_rows()
    assert claim(holder="me", now=timezone.now())
    assert waits() == "on"
    submit_rows()
    with transaction.atomic():
        assert claim(holder="me", now=timezone.now())
        assert waits() == "on"
