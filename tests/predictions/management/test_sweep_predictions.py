"""`manage.py sweep_predictions`."""

import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from mlserve.processes import temporary_folders
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


def test_it_deletes_the_folders_of_killed_processes(db: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(temporary_folders, "_YOUNG_SECONDS", -1)
    (tmp_path / "mlserve-held-inspection-x").mkdir()

    call_command("sweep_predictions")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells which open files were deleted")
def test_it_says_that_a_file_of_the_database_was_deleted(
    db: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("a server looks after its own files")
    monkeypatch.setitem(connection.settings_dict, "NAME", str(tmp_path / "database.sqlite3"))
    with (tmp_path / "database.sqlite3-wal").open("w") as file:
        Path(file.name).unlink()

        call_command("sweep_predictions")

    assert "database.sqlite3-wal was deleted or replaced" in caplog.text


def test_it_says_that_nothing_was_due(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("sweep_predictions")

    assert capsys.readouterr().out.startswith("0 requeued, 0 expired, 0 deleted")
