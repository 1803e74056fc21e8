"""The start of `serve` and its database; `tests/flows/test_start.py` lets real ones come late."""

import re
from typing import Any

import pytest
from django import db
from django.db.migrations.recorder import MigrationRecorder

from mlserve.server.database import report_missing_migrations, wait_for_database


class Connection:
    """Refuses for some times, then answers."""

    def __init__(self, *errors: str) -> None:
        self.errors = list(errors)

    def ensure_connection(self) -> None:
        if self.errors:
            raise db.OperationalError(self.errors.pop(0))


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def wait(monkeypatch: pytest.MonkeyPatch, *errors: str) -> float:
    """How many seconds it waited."""
    monkeypatch.setattr("mlserve.server.database.db.connection", Connection(*errors))
    time = Time()
    wait_for_database(clock=time, sleep=time.sleep)
    return time.now


def test_it_waits_for_a_server_that_starts_with_one_line(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    assert wait(monkeypatch, *["connection refused"] * 30) == 30

    [line] = [record.message for record in caplog.records]
    assert line.startswith("The database did not answer (connection refused): check DATABASE_URL")
    assert line.endswith("; waiting up to 60 s for it")


def test_it_waits_no_longer_than_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(db.OperationalError):
        wait(monkeypatch, *["connection refused"] * 62)


def test_it_does_not_wait_for_a_password_to_become_right(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    with pytest.raises(db.OperationalError):
        wait(monkeypatch, 'FATAL:  password authentication failed for user "ana"')

    assert not caplog.records


@pytest.mark.django_db
def test_it_says_once_what_to_run(caplog: Any) -> None:
    MigrationRecorder.Migration.objects.filter(app="mlserve").delete()

    report_missing_migrations()

    [line] = [record.message for record in caplog.records]
    assert re.fullmatch(r"The database is not migrated to this release \(mlserve \w+\): run .*manage.py migrate", line)


@pytest.mark.django_db
def test_it_is_silent_about_a_migrated_database(caplog: Any) -> None:
    report_missing_migrations()

    assert not caplog.records
