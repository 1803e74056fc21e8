"""Loaded pipelines: once per process, bounded by bytes, one thread of BLAS."""

import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import threadpoolctl
from django.db import connection
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import Pipeline

from mlserve.errors import ArtifactUnavailable
from predictions.runtime import loaded_models
from registry.models import Model, ModelVersion
from registry.publishing.admission import Admitted, admission_of
from registry.storage.artifacts import store
from registry.storage.digest import Digest, digest_of
from tests.meanwhile import at_once
from tests.pipelines import Stateless

pytestmark = pytest.mark.django_db


def _registered(**fields: Any) -> ModelVersion:
    """The fields that a load looks at; the others are made up."""
    model, _ = Model.objects.get_or_create(name="neighbours")
    made_up: dict[str, Any] = {"schema": {}, "columns": [], "outputs": ["predict"]}
    return ModelVersion.objects.create(model=model, tag=fields["sha256"][:8], **fields, **made_up)


@pytest.fixture
def artifact(tmp_path: Path) -> Callable[..., ModelVersion]:
    """`artifact("name", megabytes=…)`: a stored pipeline that takes about so much memory, compressed on disk."""

    def make(name: str, *, megabytes: int = 0) -> ModelVersion:
        rows = np.zeros((max(megabytes * 2**17, 10), 1))
        pipeline = Pipeline([("model", KNeighborsRegressor(1, algorithm="brute"))]).fit(rows, np.zeros(len(rows)))
        path = tmp_path / f"{name}.joblib"
        joblib.dump(pipeline, path, compress=3)
        digest = digest_of(path)
        store(path, digest)
        return _registered(
            sha256=digest.sha256,
            size_bytes=digest.size_bytes,
            artifact_format="joblib-zlib",
            admission=admission_of(Admitted(digest, "joblib-zlib")),
        )

    return make


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The digests that were loaded, in order."""
    done: list[str] = []
    load = loaded_models._load

    def noted(admitted: Admitted, version_id: int) -> loaded_models.LoadedModel:
        done.append(admitted.digest.sha256)
        return load(admitted, version_id)

    monkeypatch.setattr(loaded_models, "_load", noted)
    return done


def test_it_loads_a_pipeline_once(artifact: Callable[..., ModelVersion], loads: list[str]) -> None:
    version = artifact("a")

    assert loaded_models.load(version).pipeline is loaded_models.load(version).pipeline
    assert loads == [version.sha256]


@pytest.mark.django_db(transaction=True)
def test_it_loads_once_for_callers_at_the_same_time(artifact: Callable[..., ModelVersion], loads: list[str]) -> None:
    version = artifact("a", megabytes=8)

    models = at_once(*[lambda: loaded_models.load(version)] * 8)

    assert len({id(model) for model in models}) == 1
    assert loads == [version.sha256]


@pytest.mark.django_db(transaction=True)
def test_it_does_not_wait_for_the_loading_of_another(
    artifact: Callable[..., ModelVersion], monkeypatch: pytest.MonkeyPatch
) -> None:
    large, small = artifact("large", megabytes=1), artifact("small")
    is_loading, may_end = threading.Event(), threading.Event()
    load = loaded_models._load

    def slow(admitted: Admitted, version_id: int) -> loaded_models.LoadedModel:
        if admitted.digest.sha256 == large.sha256:
            is_loading.set()
            assert may_end.wait(30)
        return load(admitted, version_id)

    def load_large() -> None:
        loaded_models.load(large)
        connection.close()

    monkeypatch.setattr(loaded_models, "_load", slow)
    thread = threading.Thread(target=load_large)
    thread.start()
    assert is_loading.wait(30)

    assert loaded_models.load(small).pipeline is not None
    may_end.set()
    thread.join(30)


def test_it_counts_what_a_pipeline_takes_instead_of_its_compressed_file(
    artifact: Callable[..., ModelVersion],
) -> None:
    version = artifact("zeros", megabytes=64)

    assert version.size_bytes < 2**20
    assert loaded_models.load(version).size_bytes > 32 * 2**20


def test_it_forgets_the_least_recently_used(
    artifact: Callable[..., ModelVersion], loads: list[str], settings: Any
) -> None:
    first, second, third = (artifact(name, megabytes=size) for name, size in (("a", 24), ("b", 25), ("c", 26)))
    settings.MLSERVE_MODEL_CACHE_BYTES = 60 * 2**20
    for version in (first, second, first, third):
        loaded_models.load(version)
    del loads[:]

    loaded_models.load(third)
    loaded_models.load(second)

    assert loads == [second.sha256]


def test_it_keeps_one_however_large(artifact: Callable[..., ModelVersion], loads: list[str], settings: Any) -> None:
    settings.MLSERVE_MODEL_CACHE_BYTES = 1
    version = artifact("a", megabytes=8)
    loaded_models.load(version)
    loaded_models.load(version)

    assert loads == [version.sha256]


def test_it_tries_again_after_a_load_that_failed(artifact: Callable[..., ModelVersion], loads: list[str]) -> None:
    version = artifact("a")
    absent = Admitted(Digest("0" * 64, 10), "pickle")
    missing = _registered(sha256="0" * 64, size_bytes=10, artifact_format="pickle", admission=admission_of(absent))
    for _ in range(2):
        with pytest.raises(ArtifactUnavailable):
            loaded_models.load(missing)

    loaded_models.load(version)
    assert loads == [missing.sha256, missing.sha256, version.sha256]


def test_it_leaves_one_thread_to_blas_and_openmp(artifact: Callable[..., ModelVersion]) -> None:
    with threadpoolctl.threadpool_limits(limits=2):
        loaded_models.load(artifact("a"))

        assert {pool["num_threads"] for pool in threadpoolctl.threadpool_info()} == {1}


def test_it_asks_for_a_restart_where_the_process_does_not_trust_what_was_admitted(
    tmp_path: Path, settings: Any
) -> None:
    """It was started before MLSERVE_TRUSTED_MODULES was changed."""
    path = tmp_path / "model.pickle"
    path.write_bytes(pickle.dumps(Pipeline([("own", Stateless())])))
    digest = digest_of(path)
    store(path, digest)
    version = _registered(
        sha256=digest.sha256,
        size_bytes=digest.size_bytes,
        artifact_format="pickle",
        admission=admission_of(Admitted(digest, "pickle")),
    )
    settings.MLSERVE_TRUSTED_MODULES = ()

    with pytest.raises(
        ArtifactUnavailable, match=r"was admitted, but this process does not trust tests\.pipelines\.Stateless"
    ):
        loaded_models.load(version)

    settings.MLSERVE_TRUSTED_MODULES = ("tests.pipelines",)
    assert loaded_models.load(version).pipeline.named_steps["own"] is not None
