"""Live versions in a new environment: their golden rows are predicted again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import storages
from django.utils import timezone

from predictions.model_host.client import HostClient
from predictions.runtime import golden_checks, host_access
from predictions.runtime.golden_checks import check_live_versions
from registry.inspection.version_request import VersionRequest
from registry.models import ModelVersion
from registry.models.golden_check import GoldenCheck, Verdict
from registry.pipelines import environment
from registry.publishing.publish import publish
from tests import pipelines

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def new_environment(penguins: ModelVersion) -> ModelVersion:
    """As after an upgrade: what the version was asked with is not what is here."""
    GoldenCheck.objects.update(environment="0" * 64)
    return penguins


@pytest.fixture
def misbehaving(save: Callable[..., Path], tmp_path: Path) -> ModelVersion:
    """The only live version, as after an upgrade."""
    sample = tmp_path / "sample.json"
    sample.write_text('[{"a": 0.0, "b": 0.0}]')
    version = publish(save(pipelines.misbehaves()), VersionRequest("misbehaving", "1", sample=sample, promote=True))
    GoldenCheck.objects.update(environment="0" * 64)
    return version.version


def _check() -> GoldenCheck:
    return GoldenCheck.objects.here().get()


def test_it_counts_the_inspection_as_asked(penguins: ModelVersion) -> None:
    check = _check()

    assert check.verdict == Verdict.SAME
    assert check.packages == environment.environment()
    assert check.is_here
    assert check.differences() == []


def test_it_checks_no_version_that_was_checked_here(penguins: ModelVersion) -> None:
    before = _check().checked_at

    assert check_live_versions()
    assert _check().checked_at == before


def test_it_finds_the_same_answers(new_environment: ModelVersion) -> None:
    check_live_versions()

    assert _check().verdict == Verdict.SAME
    assert GoldenCheck.objects.count() == 2


def test_it_finds_other_answers(new_environment: ModelVersion) -> None:
    new_environment.golden_outputs["predictions"][2] = "Albatross"
    new_environment.save(update_fields=["golden_outputs"])

    check_live_versions()

    assert (_check().verdict, _check().detail) == (Verdict.DIFFERS, "1 of 13 rows get another answer.")


def test_it_asks_several_versions(publish_penguins: Any, new_environment: ModelVersion) -> None:
    for name in ("a", "b", "c"):
        publish_penguins(model=name, promote=True)
    GoldenCheck.objects.update(environment="0" * 64)

    assert check_live_versions()
    assert set(GoldenCheck.objects.here().values_list("verdict", flat=True)) == {Verdict.SAME}
    assert GoldenCheck.objects.here().count() == 4


def test_it_begins_no_further_one_once_it_is_over(new_environment: ModelVersion) -> None:
    check_live_versions(lambda: True)

    assert not GoldenCheck.objects.here().exists()


def test_it_gives_up_on_a_version_that_hangs(misbehaving: ModelVersion, settings: Any) -> None:
    settings.MLSERVE_INSPECTION_SECONDS = 1
    misbehaving.sample_rows = [{"a": 60.0, "b": 0.0}]
    misbehaving.save(update_fields=["sample_rows"])

    check_live_versions()

    assert _check().verdict == Verdict.FAILED
    assert "It took longer than" in _check().detail


def test_it_notices_a_version_that_takes_its_process_along(misbehaving: ModelVersion) -> None:
    misbehaving.sample_rows = [{"a": 0.0, "b": 2.0}]
    misbehaving.save(update_fields=["sample_rows"])

    check_live_versions()

    assert _check().verdict == Verdict.FAILED
    assert "ended itself in a call (status 3)" in _check().detail


def test_it_blames_no_version_for_a_host_that_is_away(
    new_environment: ModelVersion, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    client = HostClient(tmp_path / "nowhere", patience_seconds=0.1)
    monkeypatch.setattr(host_access, "client", lambda: client)

    assert not check_live_versions()
    assert not GoldenCheck.objects.here().exists()


def test_it_writes_down_that_an_artifact_is_gone(new_environment: ModelVersion) -> None:
    storages["artifacts"].delete(new_environment.artifact_key)

    check_live_versions()

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

    check_live_versions()

    assert not GoldenCheck.objects.here().exists()


def test_it_asks_again_what_failed_after_a_while(penguins: ModelVersion) -> None:
    before = timezone.now() - golden_checks.RECHECK_FAILED_AFTER
    GoldenCheck.objects.update(verdict=Verdict.FAILED, checked_at=before - golden_checks.RECHECK_FAILED_AFTER)

    check_live_versions()

    assert _check().verdict == Verdict.SAME


def test_it_leaves_what_failed_a_moment_ago(penguins: ModelVersion) -> None:
    GoldenCheck.objects.update(verdict=Verdict.FAILED)

    check_live_versions()

    assert _check().verdict == Verdict.FAILED


def test_it_asks_live_versions_only(new_environment: ModelVersion) -> None:
    ModelVersion.objects.update(status=ModelVersion.Status.RETIRED)

    check_live_versions()

    assert not GoldenCheck.objects.here().exists()


def test_it_tells_environments_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    here = environment.fingerprint()
    environment.environment.cache_clear()
    monkeypatch.setattr(environment, "installed", lambda name: "0.1")
    try:
        assert environment.fingerprint() != here
    finally:
        environment.environment.cache_clear()
