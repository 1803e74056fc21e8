"""Whether the tables are those of this release."""

import pytest
from django import db
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client

from mlserve.observability.database_errors import NOT_MIGRATED, trouble_of
from mlserve.observability.migrations import missing_migrations

pytestmark = pytest.mark.django_db


def test_it_finds_none_missing() -> None:
    assert missing_migrations() == ""


def test_it_names_the_last_ones_that_are_missing() -> None:
    MigrationRecorder.Migration.objects.filter(app="registry").delete()

    assert missing_migrations().startswith("registry 00")


def test_it_takes_the_tables_of_a_newer_release() -> None:
    MigrationRecorder(connection).record_applied("registry", "9999_of_the_next_release")

    assert missing_migrations() == ""


def test_it_raises_for_an_empty_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE django_migrations")

    with pytest.raises(db.Error) as raised:
        missing_migrations()

    assert trouble_of(raised.value) is NOT_MIGRATED


def test_it_is_not_ready_before_it_is_migrated(client: Client) -> None:
    MigrationRecorder.Migration.objects.filter(app="predictions").delete()

    answer = client.get("/readyz")

    assert answer.status_code == 503
    detail = answer.json()["checks"]["database"]["detail"]
    assert detail.startswith("The database is not migrated to this release (predictions 00")
    assert detail.endswith("): run .venv/bin/python manage.py migrate")
