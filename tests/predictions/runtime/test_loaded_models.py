"""Calls of versions in their model processes: what is loaded, how often, and what becomes of what goes wrong."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlserve.errors import ArtifactUnavailable, Unavailable
from predictions.model_host.client import HostClient
from predictions.model_host.errors import ModelEnded, ModelRaised
from predictions.runtime import host_access, loaded_models
from registry.inspection.version_request import VersionRequest
from registry.models import ModelVersion
from registry.publishing.publish import publish
from registry.sandbox.measurement import parts_in_force
from tests import pipelines
from tests.meanwhile import at_once

pytestmark = pytest.mark.django_db


@pytest.fixture
def misbehaving(save: Callable[..., Path], tmp_path: Path) -> ModelVersion:
    sample = tmp_path / "sample.json"
    sample.write_text('[{"a": 0.0, "b": 0.0}]')
    request = VersionRequest("misbehaving", "1", sample=sample, promote=True)
    return publish(save(pipelines.misbehaves(), "misbehaving.joblib"), request).version


def processes_of(version: ModelVersion) -> list[int]:
    """The numbers of its model processes."""
    state = host_access.client().state()
    return [each["pid"] for each in state["processes"] if each["key"].startswith(f"{version.pk} ")]


def test_it_answers_as_the_pipeline_does(penguins: ModelVersion) -> None:
    answers = loaded_models.predict(penguins, penguins.sample_rows, ["predict", "predict_proba"])

    assert answers["predictions"] == penguins.golden_outputs["predictions"]
    assert answers["probabilities"] == penguins.golden_outputs["probabilities"]


def test_it_has_one_process_for_a_version(penguins: ModelVersion) -> None:
    loaded_models.load(penguins)
    [pid] = processes_of(penguins)
    for _ in range(3):
        loaded_models.predict(penguins, penguins.sample_rows, ["predict"])

    assert processes_of(penguins) == [pid]


@pytest.mark.django_db(transaction=True)
def test_it_loads_once_for_callers_at_the_same_time(penguins: ModelVersion) -> None:
    loaded = at_once(*[lambda: loaded_models.load(penguins)] * 8)

    assert [each.is_new for each in loaded].count(True) == 1
    assert len(processes_of(penguins)) == 1


def test_it_loads_again_what_the_host_has_ended(penguins: ModelVersion) -> None:
    loaded_models.load(penguins)
    [before] = processes_of(penguins)
    host_access.client().forget_all()

    assert loaded_models.predict(penguins, penguins.sample_rows[:1], ["predict"])["predictions"] == ["Adelie"]
    assert processes_of(penguins) != [before]


def test_it_serves_the_same_bytes_under_two_schemas(penguins: ModelVersion, publish_penguins: Any) -> None:
    other = publish_penguins("2.0", model="other").version
    for version in (penguins, other):
        loaded_models.load(version)

    assert len({*processes_of(penguins), *processes_of(other)}) == 2


def test_it_tells_what_the_pipeline_raised(save: Callable[..., Path], tmp_path: Path) -> None:
    sample = tmp_path / "sample.json"
    sample.write_text('[{"a": 1.0, "b": 0.0}]')
    version = publish(save(pipelines.raises_above_100()), VersionRequest("raises", "1", sample=sample)).version

    with pytest.raises(ModelRaised, match="a must not exceed 100") as raised:
        loaded_models.predict(version, [{"a": 101.0, "b": 0.0}], ["predict"])

    assert raised.value.kind == "ValueError"


def test_it_tells_that_a_model_ended_its_process_and_serves_the_next(misbehaving: ModelVersion) -> None:
    with pytest.raises(ModelEnded) as ended:
        loaded_models.predict(misbehaving, [{"a": 0.0, "b": 2.0}], ["predict"])

    assert (ended.value.kind, ended.value.is_first) == ("exited", True)
    assert "status 3" in ended.value.detail
    assert loaded_models.predict(misbehaving, [{"a": 0.0, "b": 0.0}], ["predict"])["predictions"]


def test_it_ends_what_takes_too_long(misbehaving: ModelVersion) -> None:
    loaded_models.load(misbehaving)
    with pytest.raises(ModelEnded) as ended:
        loaded_models.predict(misbehaving, [{"a": 60.0, "b": 0.0}], ["predict"], budget=loaded_models.Budget(0.3))

    assert ended.value.kind == "hung"
    assert "obey" in ended.value.detail  # the frame in which it stood


def test_it_tries_again_after_a_load_that_failed(penguins: ModelVersion, tmp_path: Path) -> None:
    artifact = tmp_path / "artifacts" / penguins.artifact_key
    artifact.rename(tmp_path / "moved")
    for _ in range(2):
        with pytest.raises(ArtifactUnavailable):
            loaded_models.load(penguins)
    (tmp_path / "moved").rename(artifact)

    assert loaded_models.load(penguins).is_new


def test_it_asks_for_a_restart_where_the_process_does_not_trust_what_was_admitted(
    misbehaving: ModelVersion, settings: Any
) -> None:
    """It was started before MLSERVE_TRUSTED_MODULES was changed."""
    trusted, settings.MLSERVE_TRUSTED_MODULES = settings.MLSERVE_TRUSTED_MODULES, ()

    with pytest.raises(ArtifactUnavailable, match=r"this process does not trust tests\.pipelines\.obey"):
        loaded_models.load(misbehaving)

    settings.MLSERVE_TRUSTED_MODULES = trusted
    loaded_models.forget_all()
    assert loaded_models.load(misbehaving).is_new


def test_it_says_which_parts_of_the_sandbox_hold(penguins: ModelVersion) -> None:
    assert loaded_models.load(penguins).sandbox == parts_in_force()


def test_it_is_unavailable_without_a_host(penguins: ModelVersion, tmp_path: Path, monkeypatch: Any) -> None:
    loaded_models.load(penguins)
    client = HostClient(tmp_path / "nowhere", patience_seconds=0.1)
    monkeypatch.setattr(host_access, "client", lambda: client)

    with pytest.raises(Unavailable, match="cannot be reached") as error:
        loaded_models.predict(penguins, penguins.sample_rows, ["predict"])
    assert error.value.may_pass
