"""Totals that stay when what they count is deleted, for each process that counts and each end of it."""

import logging
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.utils import timezone

from mlserve.errors import InvalidRows
from mlserve.observability.counters import Series, counters
from predictions import tasks
from predictions.metrics import totals
from predictions.metrics.total import Total
from predictions.models import Prediction
from predictions.serving.submission import submit
from registry.models import ModelVersion
from tests import pipelines
from tests.flows.service import MANAGE, ROOT
from tests.predictions.worker.test_tasks import published
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db
Submit = Callable[..., Prediction]
CENSUS = ("penguins", "1.0")


@pytest.fixture(autouse=True)
def _nothing_counted() -> Iterator[None]:
    """Counts of other tests in this process do not belong to this one."""
    counters.take()
    yield
    counters.take()


def ended(status: str) -> float:
    totals.flush()
    return totals.read_totals().get(Series("predictions", *CENSUS, status), 0)


def counted(metric: str) -> float:
    """How many observations a histogram has."""
    totals.flush()
    return sum(n for series, n in totals.read_totals().items() if series.metric == metric and series.label != "sum")


def test_it_counts_what_workers_finish(submit_rows: Submit) -> None:
    for _ in range(3):
        submit_rows()
    tasks.drain()

    assert ended("succeeded") == 3
    assert counted("duration") == counted("queue") == 3
    assert counted("model_load") == 1


@pytest.mark.django_db(transaction=True)
def test_it_counts_what_is_predicted_in_place(penguins: ModelVersion, penguin: dict[str, Any]) -> None:
    submit(penguins, penguin, outputs=("predict",), user=AnonymousUser(), wait_seconds=30)

    assert ended("succeeded") == 1
    assert counted("duration") == 1


def test_it_counts_and_notes_failures_without_inputs(
    submit_rows: Submit, save: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    version = published(save(pipelines.raises_above_100()), [{"a": 1.0, "b": 0.0}])
    prediction = submit_rows({"a": 98765.0, "b": 1.0}, version=version)
    with caplog.at_level(logging.INFO, "predictions"):
        tasks.drain()

    totals.flush()
    assert totals.read_totals()[Series("predictions", version.model.name, version.tag, "failed")] == 1
    [line] = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert line.__dict__["facts"]["prediction_id"] == str(prediction.pk)
    assert line.__dict__["facts"]["error"] == "prediction-failed"
    assert "98765" not in str(line.__dict__)


def test_it_counts_what_was_canceled_and_what_expired(submit_rows: Submit, settings: Any) -> None:
    now = timezone.now()
    assert Prediction.objects.cancel(submit_rows().pk, now=now)
    assert not Prediction.objects.cancel(Prediction.objects.get().pk, now=now)
    submit_rows()
    submit_rows()
    Prediction.objects.expire(now=now + timedelta(seconds=settings.MLSERVE_QUEUE_SECONDS + 1))

    assert (ended("canceled"), ended("expired")) == (1, 2)


def test_it_counts_and_notes_what_was_given_up(
    submit_rows: Submit, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    prediction, now = submit_rows(), timezone.now()
    Prediction.objects.update(
        status="running", attempts=settings.MLSERVE_MAX_ATTEMPTS, started_at=now, lease_expires_at=now, lease_holder="x"
    )
    Prediction.objects.requeue_expired(now=now + timedelta(seconds=1))

    assert ended("failed") == 1
    [line] = [each.__dict__["facts"] for each in caplog.records if "facts" in each.__dict__]
    assert (line["prediction_id"], line["error"]) == (str(prediction.pk), "given-up")


def test_it_counts_refused_requests(penguins: ModelVersion) -> None:
    with pytest.raises(InvalidRows):
        submit(penguins, {"nothing": 1}, outputs=("predict",), user=AnonymousUser())

    totals.flush()
    assert totals.read_totals()[Series("validation_errors", "penguins")] == 1


def test_it_does_not_forget_what_retention_deletes(submit_rows: Submit) -> None:
    submit_rows()
    tasks.drain()
    before = ended("succeeded")
    Prediction.objects.delete_ended_before(timezone.now() + timedelta(days=1))

    assert not Prediction.objects.exists()
    assert ended("succeeded") == before == 1


def test_it_adds_to_what_others_counted() -> None:
    for _ in range(2):
        counters.count("a", "m", "1", label="x", by=2)
        counters.count("a", "m", "2")
        totals.flush()

    assert totals.read_totals() == {Series("a", "m", "1", "x"): 4, Series("a", "m", "2"): 2}


def test_it_adds_many_numbers_at_once(django_assert_max_num_queries: Any) -> None:
    for number in range(1200):
        counters.count("a", label=str(number))
    with django_assert_max_num_queries(9):
        totals.flush()

    assert Total.objects.count() == 1200


def test_it_keeps_what_the_database_does_not_take(monkeypatch: pytest.MonkeyPatch) -> None:
    counters.count("a")
    with monkeypatch.context() as broken:
        broken.setattr(Total._meta, "db_table", "no_such_table")
        totals.flush()
    totals.flush()

    assert totals.read_totals() == {Series("a"): 1}


def test_it_asks_the_database_for_nothing_where_nothing_was_counted(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        totals.flush()
        totals.flush_if_due()


_COUNT_AND_END = """
import os, sys, time
import django
django.setup()
from mlserve.processes.children import fork
from mlserve.observability.counters import counters
from predictions.metrics import totals

def main():
    totals.flush_in_background()
    counters.count("a", by=3)
    if sys.argv[1] == "later":
        time.sleep(30)

child = fork("web", main)
print(child.pid, flush=True)
while child.poll() is None:
    time.sleep(0.05)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")
@pytest.mark.parametrize("when", ["now", "later"])
def test_it_adds_each_second_and_at_the_end_of_a_process(tmp_path: Path, when: str) -> None:
    """A forked process ends without Python's `atexit`, so what was registered there would not run."""
    environment = {
        **os.environ, "DATABASE_URL": f"sqlite:///{tmp_path}/figures.sqlite3", "PYTHONPATH": str(ROOT),
        "DJANGO_SETTINGS_MODULE": "mlserve.settings",
    }  # fmt: skip
    subprocess.run([*MANAGE, "migrate", "-v0"], env=environment, check=True, timeout=120)
    process = subprocess.Popen(
        [sys.executable, "-c", _COUNT_AND_END, when], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    if when == "later":
        wait_until(lambda: _figure(tmp_path) is not None)
        os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=60)

    assert _figure(tmp_path) == 3


def _figure(folder: Path) -> float | None:
    with sqlite3.connect(folder / "figures.sqlite3", timeout=10) as database:
        row = database.execute("SELECT value FROM predictions_figure WHERE metric = 'a'").fetchone()
    database.close()
    return None if row is None else float(row[0])
