"""Loaded pipelines, and calls of them: the only place outside of the inspection that runs a model.

A pipeline is loaded once per process (single-flight), kept up to MLSERVE_MODEL_CACHE_BYTES by last use, and
called by one thread at a time: on small batches a second thread or BLAS helper costs more than it saves.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from django.conf import settings

from mlserve.errors import ArtifactUnavailable
from registry.models import ModelVersion
from registry.schema import Row
from registry.storage import Digest, local_copy

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

# A loaded pipeline takes about twice its file, which may be compressed.
_MEMORY_PER_FILE_BYTE = 2


@dataclass(frozen=True)
class LoadedModel:
    """A pipeline ready to be called; keyed by digest, so two versions of the same bytes share it."""

    pipeline: Any
    size_bytes: int
    load_seconds: float


class _Cache:
    """Least recently used first; at least one pipeline stays, however large."""

    def __init__(self) -> None:
        self._models: OrderedDict[str, LoadedModel] = OrderedDict()
        self._loading = threading.Lock()

    def get(self, digest: Digest) -> LoadedModel:
        model = self._models.get(digest.sha256)
        if model is None:
            with self._loading:
                model = self._models.get(digest.sha256) or self._load(digest)
        self._models.move_to_end(digest.sha256)
        return model

    def _load(self, digest: Digest) -> LoadedModel:
        model = _load(digest)
        self._models[digest.sha256] = model
        while len(self._models) > 1 and self._size_bytes() > settings.MLSERVE_MODEL_CACHE_BYTES:
            self._models.popitem(last=False)
        return model

    def _size_bytes(self) -> int:
        return sum(model.size_bytes for model in self._models.values())

    def clear(self) -> None:
        self._models.clear()


_cache = _Cache()
_one_at_a_time = threading.Lock()


def predict(version: ModelVersion, rows: Sequence[Row], outputs: Sequence[str]) -> dict[str, list[Any]]:
    """One call per output: {"predictions": …} with one JSON value per row, in the rows' order.

    Raises ArtifactUnavailable when the pipeline cannot be had, else whatever the pipeline raises.
    """
    from registry.pipelines import run

    model = load(version)
    with _one_at_a_time, _limited_threads():
        return run(model.pipeline, version.record_schema, rows, outputs)


def load(version: ModelVersion) -> LoadedModel:
    """The version's pipeline, loaded at most once per process. Raises ArtifactUnavailable."""
    return _cache.get(Digest(version.sha256, version.size_bytes))


def forget_all() -> None:
    """Drop every loaded pipeline."""
    _cache.clear()


def _load(digest: Digest) -> LoadedModel:
    from registry import formats
    from registry.pipelines import use_one_thread

    started = time.monotonic()
    with local_copy(digest) as path:
        try:
            loaded = formats.load(path)
        except formats.CannotLoad as error:
            raise ArtifactUnavailable(f"{error.detail} {error.fix}") from error
    use_one_thread(loaded.pipeline)
    seconds = time.monotonic() - started
    return LoadedModel(loaded.pipeline, digest.size_bytes * _MEMORY_PER_FILE_BYTE, seconds)


def _limited_threads() -> Any:
    """BLAS and OpenMP on one thread while a pipeline runs; finding the libraries is slow, so it is done once."""
    return _threadpools().limit(limits=1)


@cache
def _threadpools() -> "ThreadpoolController":
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
