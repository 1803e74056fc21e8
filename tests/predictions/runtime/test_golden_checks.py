"""Live versions in a new environment: checked in a process of its own each, which it may end."""

import os
import signal
import time
from typing import Any

import pytest
from django.core.files.storage import storages
from django.utils import timezone
from predictions.worker.golden_environment_check import GoldenChecks

from mlserve.processes.children import CAN_FORK
from predictions.worker import golden_environment_check
from registry.models import ModelVersion
from registry.models.golden_check import GoldenCheck, Verdict
from registry.pipelines import environment
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not CAN_FORK, reason="versions are asked by forked processes; Linux has them"),
]


@pytest.fixture
def new_environment(penguins: ModelVersion) -> ModelVersion:
    """As after an upgrade: what the version was asked with is not what is here."""
    GoldenCheck.objects.update(environment="0" * 64)
    return penguins


def _check() -> GoldenCheck:
    return GoldenCheck.objects.here().get()


def test_it_counts_the_inspection_as_asked(penguins: ModelVersion) -> None:
    check = _check()

    assert check.verdict == Verdict.SAME
    assert check.packages == environment.environment()
    assert check.is_here
    assert check.differences() == []


def test_it_checks_no_version_that_was_checked_here(penguins: ModelVersion) -> None:
    checks = GoldenChecks()
    checks()

    assert checks._running is None


def test_it_finds_the_same_answers(new_environment: ModelVersion) -> None:
    GoldenChecks().check_one()

    assert _check().verdict == Verdict.SAME
    assert GoldenCheck.objects.count() == 2


def test_it_finds_other_answers(new_environment: ModelVersion) -> None:
    new_environment.golden_outputs["predictions"][2] = "Albatross"
    new_environment.save(update_fields=["golden_outputs"])

    GoldenChecks().check_one()

    assert (_check().verdict, _check().detail) == (Verdict.DIFFERS, "1 of 13 rows get another answer.")


def test_it_returns_while_a_version_is_checked(new_environment: ModelVersion) -> None:
    checks = GoldenChecks()
    began = time.monotonic()
    checks()
    seconds = time.monotonic() - began

    assert checks._running is not None
    assert seconds < 1
    checks.stop()
    assert not GoldenCheck.objects.here().exists()


def test_it_gives_up_on_a_version_that_hangs(new_environment: ModelVersion, settings: Any) -> None:
    now = 0.0
    checks = GoldenChecks(clock=lambda: now)
    checks()
    assert checks._running is not None
    os.kill(checks._running.process.pid, signal.SIGSTOP)
    now = settings.MLSERVE_INSPECTION_SECONDS + 1
    checks()

    assert _check().verdict == Verdict.FAILED
    assert "did not answer within 120 s" in _check().detail


def test_it_notices_a_version_that_takes_its_process_along(new_environment: ModelVersion) -> None:
    checks = GoldenChecks()
    checks()
    assert checks._running is not None
    os.kill(checks._running.process.pid, signal.SIGXCPU)
    _finish(checks)

    assert (_check().verdict, _check().detail) == (Verdict.FAILED, "Its process crashed: SIGXCPU.")


def test_it_blames_no_version_for_the_end_of_the_service(new_environment: ModelVersion) -> None:
    checks = GoldenChecks()
    checks()
    assert checks._running is not None
    os.kill(checks._running.process.pid, signal.SIGTERM)
    _finish(checks)

    assert not GoldenCheck.objects.here().exists()


def test_it_writes_down_that_an_artifact_is_gone(new_environment: ModelVersion) -> None:
    storages["artifacts"].delete(new_environment.artifact_key)

    GoldenChecks().check_one()

    assert _check().verdict == Verdict.FAILED
    assert "artifact" in _check().detail


def test_it_blames_no_version_for_an_unreachable_storage(
    new_environment: ModelVersion, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    options: dict[str, Any] = {
        "bucket_name": "unreachable",
        "default_acl": None,
        "file_overwrite": True,
        "object_parameters": {},
    }
    settings.STORAGES = {
        **settings.STORAGES,
        "artifacts": {"BACKEND": "registry.storage.s3.S3ArtifactStorage", "OPTIONS": options},
    }

    GoldenChecks().check_one()

    assert not GoldenCheck.objects.here().exists()


def test_it_asks_again_what_failed_after_a_while(penguins: ModelVersion) -> None:
    before = timezone.now() - golden_environment_check.RECHECK_FAILED_AFTER
    GoldenCheck.objects.update(
        verdict=Verdict.FAILED, checked_at=before - golden_environment_check.RECHECK_FAILED_AFTER
    )

    GoldenChecks().check_one()

    assert _check().verdict == Verdict.SAME


def test_it_leaves_what_failed_a_moment_ago(penguins: ModelVersion) -> None:
    GoldenCheck.objects.update(verdict=Verdict.FAILED)

    GoldenChecks().check_one()

    assert _check().verdict == Verdict.FAILED


def test_it_asks_live_versions_only(new_environment: ModelVersion) -> None:
    ModelVersion.objects.update(status=ModelVersion.Status.RETIRED)

    GoldenChecks().check_one()

    assert not GoldenCheck.objects.here().exists()


def test_it_tells_environments_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    here = environment.fingerprint()
    environment.environment.cache_clear()
    monkeypatch.setattr(environment, "installed", lambda name: "0.1")
    try:
        assert environment.fingerprint() != here
    finally:
        environment.environment.cache_clear()


def _finish(checks: GoldenChecks) -> None:
    def is_over() -> bool:
        checks()
        return checks._running is None

    wait_until(is_over, "the end of the check")
