from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from predictions.model_host.client import Loaded
from predictions.model_host.rehearsal import rehearse
from predictions.runtime import incidents, loaded_models, warming
from predictions.runtime.warming import warm_models
from registry.models import ModelVersion
from registry.models.incident import Kind
from registry.publishing.publish import Published
from tests import pipelines

Publish = Callable[..., Published]


@pytest.fixture
def small_and_large(publish_penguins: Publish, penguins_artifact: Path, tmp_path: Path) -> tuple[ModelVersion, ...]:
    """Live versions of two models, whose artifacts differ in size."""
    larger = pipelines.save(pipelines.relabelled(penguins_artifact), tmp_path / "large.joblib", compress=0)
    small = publish_penguins(model="small", promote=True).version
    large = publish_penguins(model="large", artifact=larger, promote=True).version
    assert small.size_bytes != large.size_bytes
    return tuple(sorted((small, large), key=lambda version: version.size_bytes))


@pytest.fixture(autouse=True)
def _knows_of_no_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warming, "_refused", set())


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The digests that were loaded, in order."""
    digests: list[str] = []
    load = loaded_models.load

    def note(version: ModelVersion) -> Loaded:
        digests.append(version.sha256)
        return load(version)

    monkeypatch.setattr(loaded_models, "load", note)
    return digests


def test_it_loads_live_versions_smallest_first(
    small_and_large: tuple[ModelVersion, ...], publish_penguins: Publish, loaded: list[str]
) -> None:
    warm_models()

    assert loaded == [version.sha256 for version in small_and_large]


def test_it_loads_no_version_that_is_not_live(publish_penguins: Publish, loaded: list[str]) -> None:
    publish_penguins("0.9")

    warm_models()

    assert loaded == []


def test_it_stops_when_the_cache_is_full(
    small_and_large: tuple[ModelVersion, ...], loaded: list[str], settings: Any
) -> None:
    small, _ = small_and_large
    settings.MLSERVE_MODEL_CACHE_BYTES = loaded_models.load(small).size_bytes + 1
    loaded.clear()

    warm_models()

    assert loaded == [small.sha256]


def test_it_leaves_out_what_is_quarantined(small_and_large: tuple[ModelVersion, ...], loaded: list[str]) -> None:
    small, large = small_and_large
    incidents.report(small, Kind.HUNG, "seen")

    warm_models()

    assert loaded == [large.sha256]


def test_it_goes_on_after_an_artifact_that_is_gone(
    small_and_large: tuple[ModelVersion, ...], loaded: list[str], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    small, large = small_and_large
    next((tmp_path / "artifacts").rglob(small.sha256)).unlink()

    warm_models()

    assert loaded == [small.sha256, large.sha256]
    assert f"{small} was not loaded in advance" in caplog.text


def test_it_rehearses_a_prediction_without_any_model() -> None:
    rehearse()
