"""Predictions beside those that end their worker: in the same batch, and in the workers that are ended with it."""

from typing import Any

import pytest
from django.utils import timezone

from predictions.models import Prediction
from predictions.models.completion import Completion
from predictions.queue import heartbeat
from predictions.status import Status
from predictions.worker import cluster
from predictions.worker.claiming import Precedence, claim
from tests.predictions.conftest import Submit

pytestmark = pytest.mark.django_db(transaction=True)

# Above the largest process number of Linux.
_CRASHES, _BESIDE = 2**22 + 1, 2**22 + 2
_RESULT: dict[str, Any] = {"predictions": ["Gentoo"], "probabilities": None}


def holder(pid: int) -> str:
    return f"{heartbeat.host_name()}:{pid}"


def ends(predictions: list[Prediction]) -> list[tuple[str, int]]:
    return [(row.status, row.attempts) for each in predictions for row in [Prediction.objects.get(pk=each.pk)]]


def test_it_gives_up_only_those_that_end_their_worker_in_a_batch_of_many(submit_rows: Submit) -> None:
    crashing, healthy = [], []
    for _ in range(3):
        crashing.append(submit_rows())
        healthy.append(submit_rows())
    guilty = {each.pk for each in crashing}

    while batch := claim(holder="worker", now=timezone.now()):
        if guilty & {each.pk for each in batch}:
            Prediction.objects.requeue_held_by(["worker"], now=timezone.now())
        else:
            completions = [Completion(each.pk, result=_RESULT) for each in batch]
            Prediction.objects.finish(completions, holder="worker", now=timezone.now())

    assert ends(healthy) == [(Status.SUCCEEDED, 2)] * 3
    assert ends(crashing) == [(Status.FAILED, 3)] * 3


@pytest.mark.parametrize("quarantined", [frozenset(), frozenset({0})], ids=["none quarantined", "one quarantined"])
def test_it_gives_up_only_what_ends_its_whole_host(
    submit_rows: Submit, settings: Any, quarantined: frozenset[int]
) -> None:
    """No process is left that could tell which of them did it."""
    settings.MLSERVE_BATCH_ROWS = 1
    crashing, healthy = submit_rows(), submit_rows()

    for _ in range(settings.MLSERVE_MAX_ATTEMPTS):
        for one in ("one", "two"):
            claim(holder=one, now=timezone.now(), precedence=Precedence(quarantined))
        Prediction.objects.requeue_held_by(["one", "two"], now=timezone.now())
    assert ends([crashing, healthy]) == [(Status.FAILED, 3), (Status.QUEUED, 2)]

    late = submit_rows()
    last = [claim(holder=one, now=timezone.now(), precedence=Precedence(quarantined)) for one in ("one", "two")]
    assert [each.pk for batch in last for each in batch] == [healthy.pk, late.pk]


def test_it_gives_up_nothing_however_often_others_crash_beside_it(submit_rows: Submit, settings: Any) -> None:
    settings.MLSERVE_BATCH_ROWS = 1
    crashing, healthy = submit_rows(), submit_rows()

    for _ in range(settings.MLSERVE_MAX_ATTEMPTS):
        claim(holder=holder(_CRASHES), now=timezone.now())
        claim(holder=holder(_BESIDE), now=timezone.now())
        cluster._requeue_held_by([_BESIDE])  # by the guard, at once
        Prediction.objects.requeue_held_by([holder(_CRASHES)], now=timezone.now())  # by the next cluster

    assert ends([crashing, healthy]) == [(Status.FAILED, 3), (Status.QUEUED, 0)]
