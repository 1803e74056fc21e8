"""`manage.py sweep_predictions`."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from predictions.models import Prediction
from tests.predictions.conftest import Submit


def test_it_says_what_it_did(submit_rows: Submit, settings: Any, capsys: pytest.CaptureFixture[str]) -> None:
    overdue, lost = submit_rows(), submit_rows()
    long_ago = timezone.now() - timedelta(seconds=settings.MLSERVE_QUEUE_SECONDS + 60)
    Prediction.objects.filter(pk=overdue.pk).update(created_at=long_ago)
    Prediction.objects.filter(pk=lost.pk).update(
        status="running",
        started_at=timezone.now(),
        attempts=1,
        lease_holder="elsewhere:1",
        lease_expires_at=timezone.now() - timedelta(seconds=1),
    )

    call_command("sweep_predictions")

    assert capsys.readouterr().out.startswith("1 requeued, 1 expired, 0 deleted (ended more than 30 days ago, or as")
    assert Prediction.objects.get(pk=overdue.pk).status == "expired"
    assert Prediction.objects.get(pk=lost.pk).status == "queued"


def test_it_says_that_nothing_was_due(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("sweep_predictions")

    assert capsys.readouterr().out.startswith("0 requeued, 0 expired, 0 deleted")
