"""What was not admitted by this service is not loaded: tampered rows, tampered objects, other keys."""

import importlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db import connection

from mlserve.errors import ArtifactUnavailable, NotAdmitted
from predictions.runtime import loaded_models
from registry.models import ModelVersion
from registry.publishing.admission import Admitted, admission_of, why_not_admitted
from registry.publishing.publish import Published
from registry.storage.artifacts import store
from registry.storage.digest import Digest, digest_of
from tests import pipelines

ADMITTED = Admitted(Digest("ab" * 32, 1000), "pickle")
OTHERS = [
    Admitted(Digest("cd" * 32, 1000), "pickle"),
    Admitted(Digest("ab" * 32, 1001), "pickle"),
    Admitted(Digest("ab" * 32, 1000), "joblib-zlib"),
]


def _change(version: ModelVersion, **fields: Any) -> None:
    """As an attacker does who can write to the database."""
    ModelVersion.objects.filter(pk=version.pk).update(**fields)


@pytest.fixture
def foreign(tmp_path: Path) -> Digest:
    """Another pipeline, which was not inspected, in the storage."""
    path = pipelines.save(pipelines.array_regressor(), tmp_path / "foreign.joblib")
    digest = digest_of(path)
    store(path, digest)
    return digest


def test_it_knows_again_what_it_signed() -> None:
    assert why_not_admitted(ADMITTED, admission_of(ADMITTED)) == ""


def test_it_knows_again_what_an_earlier_release_signed(settings: Any) -> None:
    """Rows outlive releases: neither a moved module nor a renamed one may change what is signed."""
    settings.SECRET_KEY = "the-key-of-an-earlier-release-and-long-enough-for-all-checks"

    assert why_not_admitted(ADMITTED, "1:1-zzdJ7qoUkWsOvY8ErS-7KBKX8E3IWs-fHG4YMCU0I") == ""


@pytest.mark.parametrize("other", OTHERS, ids=["digest", "size", "format"])
def test_it_takes_no_signature_of_something_else(other: Admitted) -> None:
    assert "is wrong" in why_not_admitted(other, admission_of(ADMITTED))


@pytest.mark.parametrize("text", ["1", "1:", "1:x", "::", "\x00", "1:" + "é" * 30], ids=ascii)
def test_it_takes_no_nonsense(text: str) -> None:
    assert why_not_admitted(ADMITTED, text).startswith("is wrong") or "rules" in why_not_admitted(ADMITTED, text)


def test_it_takes_no_signature_of_other_rules() -> None:
    _, _, signature = admission_of(ADMITTED).partition(":")

    assert why_not_admitted(ADMITTED, f"0:{signature}") == "was made by other rules"


def test_it_honours_the_keys_of_before(settings: Any) -> None:
    admission, old = admission_of(ADMITTED), settings.SECRET_KEY
    settings.SECRET_KEY = "another key " * 5
    assert "another SECRET_KEY" in why_not_admitted(ADMITTED, admission)

    settings.SECRET_KEY_FALLBACKS = ["unknown " * 8, old]
    assert why_not_admitted(ADMITTED, admission) == ""


def test_it_loads_what_was_published(penguins: ModelVersion) -> None:
    assert penguins.admission
    assert loaded_models.load(penguins).seconds > 0


@pytest.mark.parametrize("admission", ["", "1:" + "A" * 43], ids=["missing", "wrong"])
def test_it_loads_nothing_without_a_signature(penguins: ModelVersion, admission: str) -> None:
    _change(penguins, admission=admission)

    with pytest.raises(NotAdmitted, match=r"penguins 1\.0 was not admitted .*admit_models penguins --tag 1\.0"):
        loaded_models.load(penguins)


def test_it_looks_at_the_row_of_now(penguins: ModelVersion) -> None:
    """`lookup` remembers versions; a load does not rely on it."""
    remembered = ModelVersion.objects.select_related("model").get()
    _change(penguins, admission="")

    with pytest.raises(NotAdmitted, match="is missing"):
        loaded_models.load(remembered)


def test_it_loads_nothing_under_another_key(penguins: ModelVersion, settings: Any) -> None:
    settings.SECRET_KEY = "another key " * 5

    with pytest.raises(NotAdmitted, match="another SECRET_KEY"):
        loaded_models.load(penguins)


def test_it_loads_no_other_object_that_a_row_was_led_to(penguins: ModelVersion, foreign: Digest) -> None:
    _change(penguins, sha256=foreign.sha256, size_bytes=foreign.size_bytes, artifact_key=foreign.key)

    with pytest.raises(NotAdmitted, match="is wrong"):
        loaded_models.load(ModelVersion.objects.get())


def test_it_loads_no_other_format(penguins: ModelVersion) -> None:
    _change(penguins, artifact_format="joblib-bz2")

    with pytest.raises(NotAdmitted, match="is wrong"):
        loaded_models.load(penguins)


def test_it_takes_no_signature_of_another_version(
    penguins: ModelVersion, publish_penguins: Callable[..., Published], tmp_path: Path
) -> None:
    artifact = pipelines.save(
        pipelines.relabelled(Path(storages["artifacts"].path(penguins.artifact_key))), tmp_path / "2"
    )
    second = publish_penguins("2.0", artifact=artifact).version
    _change(second, admission=penguins.admission)

    with pytest.raises(NotAdmitted, match="is wrong"):
        loaded_models.load(second)


def test_it_loads_no_other_bytes_under_the_admitted_key(penguins: ModelVersion, foreign: Digest) -> None:
    storage = storages["artifacts"]
    with storage.open(foreign.key) as other:
        content = other.read()
    storage.delete(penguins.artifact_key)
    storage.save(penguins.artifact_key, ContentFile(content))

    with pytest.raises(ArtifactUnavailable):
        loaded_models.load(penguins)


def test_it_loads_no_other_bytes_from_a_bucket(artifacts_in_s3: str, penguins: ModelVersion, foreign: Digest) -> None:
    storage = storages["artifacts"]
    with storage.open(foreign.key) as other:
        storage.save(penguins.artifact_key, ContentFile(other.read()))

    with pytest.raises(ArtifactUnavailable):
        loaded_models.load(penguins)


def test_it_does_not_ask_again_for_what_is_in_memory(penguins: ModelVersion) -> None:
    """It was admitted when it was loaded, and memory is not what the signature protects."""
    loaded = loaded_models.load(penguins)
    _change(penguins, admission="")

    assert loaded_models.load(penguins) is loaded


def test_it_does_not_load_for_a_version_that_is_gone(penguins: ModelVersion) -> None:
    ModelVersion.objects.filter(pk=penguins.pk).delete()
    gone = penguins

    with pytest.raises(NotAdmitted, match="deleted"):
        loaded_models.load(gone)


def test_it_signs_once_what_was_registered_before_there_were_signatures(penguins: ModelVersion) -> None:
    _change(penguins, admission="")

    importlib.import_module("registry.migrations.0004_admit").sign(apps, SimpleNamespace(connection=connection))

    assert ModelVersion.objects.get().admission == penguins.admission
