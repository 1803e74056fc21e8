"""Publish: what is registered, what is refused, and what a crash leaves behind."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import storages

from mlserve.errors import (
    ArtifactRejected,
    BadUpload,
    TagTaken,
    TooLarge,
    Unavailable,
)
from registry.inspection.version_request import VersionRequest
from registry.models import Model, ModelVersion
from registry.publishing import publish as publishing
from registry.publishing.publish import Published, publish
from registry.storage.artifacts import local_copy
from registry.storage.digest import Digest
from tests import pipelines

Publish = Callable[..., Published]


@pytest.fixture
def other_artifact(penguins_artifact: Path, tmp_path: Path) -> Path:
    """Loads like the example's, but is not the same bytes."""
    path = tmp_path / "other.joblib"
    path.write_bytes(penguins_artifact.read_bytes() + b"trailing")
    return path


def live() -> str | None:
    return ModelVersion.objects.live().values_list("tag", flat=True).first()


def test_it_registers_a_version_that_is_not_live(publish_penguins: Publish, penguins_artifact: Path) -> None:
    published = publish_penguins(by="owner")

    version = ModelVersion.objects.get()
    assert published.created
    assert published.report.is_accepted
    assert (version.model.name, version.tag, version.status) == ("penguins", "1.0", "ready")
    assert version.size_bytes == penguins_artifact.stat().st_size
    assert version.uploaded_by == "owner"
    assert version.artifact_key == f"sha256/{version.sha256[:2]}/{version.sha256}"
    assert len(version.sample_rows) == len(version.golden_outputs["predictions"]) == 13


def test_it_keeps_the_order_of_columns(publish_penguins: Publish) -> None:
    """PostgreSQL's jsonb forgets the order of names."""
    publish_penguins()

    schema = ModelVersion.objects.get().ordered_schema()
    assert list(schema["properties"]) == [
        "island", "bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g", "sex", "year",
    ]  # fmt: skip


def test_it_inspects_for_real(db: None, save: Callable[..., Path]) -> None:
    published = publish(save(pipelines.array_regressor()), VersionRequest("numbers", "1.0", promote=True))

    assert published.version.is_live
    assert published.version.container == "array"


def test_it_registers_nothing_that_was_rejected(db: None, tmp_path: Path) -> None:
    path = tmp_path / "model.joblib"
    path.write_text("no pickle")

    with pytest.raises(ArtifactRejected, match="The file unpickles: no") as refusal:
        publish(path, VersionRequest("penguins", "1.0"))

    assert refusal.value.report["accepted"] is False
    assert not Model.objects.exists()
    assert not (tmp_path / "artifacts").exists()


def test_it_is_a_success_to_publish_the_same_bytes_again(publish_penguins: Publish) -> None:
    first = publish_penguins()

    again = publish_penguins()

    assert not again.created
    assert again.version == first.version
    assert again.report == first.report


def test_it_promotes_what_was_published_before(publish_penguins: Publish) -> None:
    publish_penguins()

    publish_penguins(promote=True)

    assert live() == "1.0"


def test_it_refuses_other_bytes_under_the_same_tag(publish_penguins: Publish, other_artifact: Path) -> None:
    before = publish_penguins().version.sha256

    with pytest.raises(TagTaken, match=f"penguins 1.0 is another artifact .*{before[:12]}"):
        publish_penguins(artifact=other_artifact)

    assert ModelVersion.objects.get().sha256 == before


def test_it_takes_the_same_bytes_under_other_tags_and_models(publish_penguins: Publish) -> None:
    keys = [publish_penguins(tag, model=model).version.artifact_key for tag, model in ("1a", "1b", "2a")]

    assert len(set(keys)) == 1


def test_it_replaces_a_lost_artifact_when_it_is_uploaded_again(publish_penguins: Publish) -> None:
    version = publish_penguins().version
    storages["artifacts"].delete(version.artifact_key)

    publish_penguins()

    with local_copy(Digest(version.sha256, version.size_bytes)) as path:
        assert path.exists()


@pytest.mark.parametrize(("policy", "is_public"), [("public", True), ("private", False)])
def test_it_takes_the_flag_of_a_new_model_from_the_setting(
    publish_penguins: Publish, settings: Any, policy: str, is_public: bool
) -> None:
    settings.MLSERVE_NEW_MODELS = policy

    publish_penguins()

    assert Model.objects.get().is_public is is_public


@pytest.mark.parametrize("tag", ["1.0", "2.0"])
@pytest.mark.parametrize("is_public", [True, False])
def test_it_changes_the_flag_when_asked(publish_penguins: Publish, is_public: bool, tag: str) -> None:
    publish_penguins(is_public=not is_public)

    publish_penguins(tag, is_public=is_public)

    assert Model.objects.get().is_public is is_public


def test_it_leaves_flag_and_title_alone_unless_asked(publish_penguins: Publish, settings: Any) -> None:
    publish_penguins(is_public=True, title="Which one?")
    settings.MLSERVE_NEW_MODELS = "private"

    publish_penguins("2.0")

    model = Model.objects.get()
    assert (model.is_public, model.title) == (True, "Which one?")


def test_it_takes_the_title_of_the_form_for_a_new_model(publish_penguins: Publish) -> None:
    publish_penguins()

    assert Model.objects.get().title == "Which penguin is it?"


def test_it_cuts_the_long_title_of_a_form(db: None, save: Callable[..., Path]) -> None:
    request = VersionRequest("numbers", "1.0", form_config={"title": "x" * 500})

    publish(save(pipelines.array_regressor()), request)

    assert Model.objects.get().title == "x" * 200


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"model": "two words"}, "'two words' cannot be a model name"),
        ({"model": ""}, "'' cannot be a model name"),
        ({"model": "a/b"}, "'a/b' cannot be a model name"),
        ({"model": "..", "tag": "1"}, "'..' cannot be a model name"),
        ({"model": "x" * 101}, "The model name is longer than 100 characters"),
        ({"tag": "1.0\n"}, "cannot be a tag"),
        ({"tag": "größe"}, "'größe' cannot be a tag"),
        ({"title": "x" * 201}, "The title is longer than 200 characters"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_it_refuses_names_that_cannot_be(
    penguins_artifact: Path, penguins_request: VersionRequest, change: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(BadUpload) as refusal:
        publish(penguins_artifact, dataclasses.replace(penguins_request, **change))

    assert sentence in refusal.value.detail


def test_it_refuses_a_file_above_the_limit(publish_penguins: Publish, settings: Any) -> None:
    settings.MLSERVE_MAX_ARTIFACT_BYTES = 100

    with pytest.raises(TooLarge):
        publish_penguins()


def test_it_registers_nothing_that_was_not_stored(publish_penguins: Publish, tmp_path: Path) -> None:
    (tmp_path / "artifacts").write_text("in the way")

    with pytest.raises(Unavailable, match="nothing was stored"):
        publish_penguins()

    assert not Model.objects.exists()


def test_it_adopts_what_a_crash_left_in_the_storage(
    publish_penguins: Publish, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as crash:
        crash.setattr(publishing, "_register", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            publish_penguins()
    orphans = [path for path in (tmp_path / "artifacts").rglob("*") if path.is_file()]

    published = publish_penguins()

    assert published.created
    assert orphans == [Path(storages["artifacts"].path(published.version.artifact_key))]
    assert [path for path in (tmp_path / "artifacts").rglob("*") if path.is_file()] == orphans


def test_it_publishes_to_s3(artifacts_in_s3: str, publish_penguins: Publish) -> None:
    version = publish_penguins().version

    with local_copy(Digest(version.sha256, version.size_bytes)) as path:
        assert path.stat().st_size == version.size_bytes


def test_it_stores_what_json_can_hold(db: None, save: Callable[..., Path], tmp_path: Path) -> None:
    """A database refuses more than Python's json does: NaN, and NUL in PostgreSQL."""
    sample = tmp_path / "sample.json"
    sample.write_text(json.dumps([{"age": 39, "city": "Zürich 🐧 \u2028", "postcode": "0123"}]))

    publish(save(pipelines.mixed_classifier()), VersionRequest("people", "1.0", sample=sample))

    assert ModelVersion.objects.get().sample_rows[0]["city"] == "Zürich 🐧 \u2028"
