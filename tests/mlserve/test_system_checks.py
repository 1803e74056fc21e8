"""Wrong combinations of settings, as `manage.py check` reports them."""

from typing import Any

import pytest
from django.core.checks import CheckMessage, run_checks


def ids(found: list[CheckMessage]) -> set[str | None]:
    return {message.id for message in found}


def test_it_finds_nothing_wrong_with_the_defaults() -> None:
    assert not ids(run_checks(tags=None)) & {"predictions.E001", "predictions.E002"}


def test_it_refuses_a_retry_within_the_timeout(settings: Any) -> None:
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "retry": settings.Q_CLUSTER["timeout"]}

    assert "predictions.E001" in ids(run_checks())


def test_it_refuses_a_wait_beyond_the_queue(settings: Any) -> None:
    settings.MLSERVE_QUEUE_SECONDS = settings.MLSERVE_MAX_WAIT

    assert "predictions.E002" in ids(run_checks())


@pytest.mark.parametrize(
    ("on_lambda", "kind", "is_refused"), [(True, "orm", True), (True, "sqs", False), (False, "orm", False)]
)
def test_it_refuses_a_function_that_would_hear_of_nothing(
    settings: Any, on_lambda: bool, kind: str, is_refused: bool
) -> None:
    settings.ON_LAMBDA, settings.MLSERVE_QUEUE = on_lambda, kind

    assert ("predictions.E003" in ids(run_checks())) is is_refused


@pytest.mark.parametrize(
    ("engine", "bucket", "is_reported"),
    [
        ("django.db.backends.postgresql", "", True),
        ("django.db.backends.postgresql", "models", False),
        ("django.db.backends.sqlite3", "", False),
    ],
)
def test_it_warns_of_local_artifacts_beside_a_database_server(
    monkeypatch: pytest.MonkeyPatch, settings: Any, engine: str, bucket: str, is_reported: bool
) -> None:
    from registry.checks import local_artifacts_on_a_server

    monkeypatch.setitem(settings.DATABASES["default"], "ENGINE", engine)
    settings.MLSERVE_BUCKET = bucket

    assert ("registry.W001" in ids(local_artifacts_on_a_server())) is is_reported
