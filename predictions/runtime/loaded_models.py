"""Loaded pipelines, and calls of them: the only place outside of the inspection that runs a model.

A pipeline is loaded once per process (single-flight), kept up to MLSERVE_MODEL_CACHE_BYTES by last use, and
called by one thread at a time: on small batches a second thread or BLAS helper costs more than it saves.
"""

import os
import signal
import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from mlserve.errors import ArtifactUnavailable, NotAdmitted, Unavailable
from mlserve.observability.tracing import span
from predictions.batching.backoff import Backoff
from predictions.metrics.counters import count_load
from predictions.runtime.call_marker import CALL, LOAD, noted
from registry.models import ModelVersion
from registry.publishing.admission import Admitted
from registry.publishing.lookup import require_admitted
from registry.schema.record import Row
from registry.storage.artifacts import local_copy
from registry.storage.digest import Digest

# What a loaded pipeline takes at the least, where memory cannot be measured.
_MEMORY_PER_FILE_BYTE = 2
# Packages whose exceptions end a call from outside.
_OURS = frozenset({"django_q", "mlserve", "predictions"})


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
        self._loading: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._lock = threading.Lock()

    def get(self, version: ModelVersion) -> LoadedModel:
        """The loaded pipeline. Threads wait for a pipeline that another thread is loading, but not for other ones."""
        digest = Digest(version.sha256, version.size_bytes)
        model = self._find(digest)
        if model is None:
            with self._lock:
                loading = self._loading[digest.sha256]
            with loading:
                model = self._find(digest) or self._keep(digest, _load_and_count(version))
        return model

    def clear(self) -> None:
        with self._lock:
            self._models.clear()

    def _find(self, digest: Digest) -> LoadedModel | None:
        with self._lock:
            model = self._models.get(digest.sha256)
            if model is not None:
                self._models.move_to_end(digest.sha256)
            return model

    def _keep(self, digest: Digest, model: LoadedModel) -> LoadedModel:
        with self._lock:
            self._models[digest.sha256] = model
            while len(self._models) > 1 and self._size_bytes() > settings.MLSERVE_MODEL_CACHE_BYTES:
                self._models.popitem(last=False)
            self._loading.pop(digest.sha256, None)
        return model

    def _size_bytes(self) -> int:
        return sum(model.size_bytes for model in self._models.values())


class TriedToEnd(Exception):
    """The pipeline raised what would have ended the process."""


# Versions whose artifact was unreachable when it was last loaded.
unreachable: Backoff[int] = Backoff()
_cache = _Cache()
_one_at_a_time = threading.Lock()


def predict(version: ModelVersion, rows: Sequence[Row], outputs: Sequence[str]) -> dict[str, list[Any]]:
    """One call per output: {"predictions": …} with one JSON value per row, in the rows' order.

    Raises Unavailable when the pipeline is unreachable, else what the pipeline raises.
    """
    from registry.pipelines.calls import run_rows

    model = load(version)
    with _one_at_a_time, span("predict", rows=len(rows)), noted(CALL, version.pk), _protected_from_exit():
        return run_rows(model.pipeline, version.record_schema, rows, outputs)


def load(version: ModelVersion) -> LoadedModel:
    """The version's pipeline, loaded at most once per process. Raises Unavailable.

    Only what this service admitted is read at all. What is in memory is not asked for again: it was admitted, perhaps
    under another version of the same bytes.
    """
    try:
        model = _cache.get(version)
    except Unavailable as error:
        if error.may_pass:
            unreachable.begin(version.pk)
        raise
    unreachable.end(version.pk)
    return model


@contextmanager
def _protected_from_exit() -> Iterator[None]:
    """Turn what would end the process into TriedToEnd, an error of the rows. Time limits of mlserve are not caught."""
    try:
        yield
    except Exception:
        raise
    except BaseException as error:
        if type(error).__module__.partition(".")[0] in _OURS or _is_keyboard_interrupt(error):
            raise
        raise TriedToEnd(f"{type(error).__name__}: {error}") from error


def _is_keyboard_interrupt(error: BaseException) -> bool:
    """Ctrl-C in a command; the processes of the service handle that signal themselves."""
    is_main = threading.current_thread() is threading.main_thread()
    by_default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return isinstance(error, KeyboardInterrupt) and is_main and by_default


def forget_all() -> None:
    """Drop every loaded pipeline, and what is known of those that could not be loaded."""
    _cache.clear()
    unreachable.forget_all()


def _load_and_count(version: ModelVersion) -> LoadedModel:
    with span("load", model=version.model.name, version=version.tag):
        model = _load(require_admitted(version), version.pk)
    count_load(version, model.load_seconds)
    return model


def _load(admitted: Admitted, version_id: int) -> LoadedModel:
    from registry.formats import loading as formats
    from registry.pipelines.calls import use_one_thread
    from registry.pipelines.wrappers import as_pipeline

    started, resident_before = time.monotonic(), _resident_bytes()
    with local_copy(admitted.digest) as path:
        try:
            if formats.recognize(path) != admitted.artifact_format:
                raise NotAdmitted(f"The {admitted.digest} was admitted as {admitted.artifact_format}, which it is not.")
            with noted(LOAD, version_id), _protected_from_exit():
                loaded = formats.load(
                    path,
                    trusted=settings.MLSERVE_TRUSTED_MODULES,
                    max_bytes=settings.MLSERVE_INSPECTION_BYTES,
                )
        except formats.NotTrusted as error:
            raise ArtifactUnavailable(
                f"The {admitted.digest} was admitted, but this process does not trust {error.name}: it was started "
                "before MLSERVE_TRUSTED_MODULES was changed, or without it. Restart mlserve with the value under which "
                "the version was admitted, for web and workers alike."
            ) from error
        except formats.CannotLoad as error:
            raise ArtifactUnavailable(f"{error.detail} {error.fix}") from error
        except TriedToEnd as error:
            raise ArtifactUnavailable(f"The {admitted.digest} cannot be loaded: {error}") from error
    pipeline = as_pipeline(loaded.pipeline)
    use_one_thread(pipeline)
    _limit_threads()
    seconds = time.monotonic() - started
    # The file may be compressed many times over, so what the process has grown by counts where that is more.
    grown_bytes = _resident_bytes() - resident_before
    return LoadedModel(pipeline, max(admitted.digest.size_bytes * _MEMORY_PER_FILE_BYTE, grown_bytes), seconds)


def _resident_bytes() -> int:
    """Of this process; 0 where there is no /proc."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _limit_threads() -> None:
    """BLAS and OpenMP on one thread from now on. Unpickling may have loaded a library with threads of its own."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(limits=1)
