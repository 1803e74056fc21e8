"""What a process that predicts loads before it is asked: the libraries, then the pipelines of live versions."""

import gc
import logging
import os
import threading
from functools import cache

from django import db
from django.conf import settings

from mlserve.errors import Unavailable
from predictions.runtime import loaded_models
from registry.models import ModelVersion

log = logging.getLogger(__name__)


@cache
def warm_libraries() -> None:
    """Import what nearly every pipeline needs, once for this process and all that are forked from it; about 1 s.

    BLAS and OpenMP get one thread unless the environment says otherwise: `runtime` uses no more, and their threads
    would be missing in forked processes. Call it last before forking: it freezes all objects, because the
    garbage collector writes into each object that it visits, and processes no longer share a page that was written.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.disable()  # imports make little garbage, and looking for it takes a tenth of their time
    from sklearn import ensemble  # noqa: F401

    from predictions.runtime.rehearsal import rehearse
    from registry.formats import loading  # noqa: F401

    rehearse()
    gc.freeze()
    # A prediction makes some thousand objects; looking through them every 700 costs it a twelfth of its time.
    gc.set_threshold(10_000, 20, 20)
    gc.enable()


def warm_models_in_background(*, largest_bytes: int | None = None) -> None:
    """`warm_models` in a thread of its own; a request for a version that is not loaded yet loads it as usual."""

    def warm() -> None:
        try:
            warm_models(largest_bytes=largest_bytes)
        finally:
            db.connections.close_all()

    threading.Thread(target=warm, name="warming", daemon=True).start()


def warm_models(*, largest_bytes: int | None = None) -> None:
    """Load live versions, smallest first, as far as the cache holds them: more would only push out the first ones.

    `largest_bytes` leaves out larger artifacts, which this process will not be asked for.
    """
    room_bytes = settings.MLSERVE_MODEL_CACHE_BYTES
    live = ModelVersion.objects.live().select_related("model").only("model__name", "tag", "sha256", "size_bytes")
    if largest_bytes is not None:
        live = live.filter(size_bytes__lte=largest_bytes)
    try:
        for version in live.order_by("size_bytes", "pk"):
            taken_bytes = _load(version)
            room_bytes -= taken_bytes
            if room_bytes < taken_bytes:  # and the next one is no smaller
                break
    except db.Error as error:
        log.warning("Live versions are loaded at their first prediction only: %s", error)


def _load(version: ModelVersion) -> int:
    """How many bytes of the cache it takes."""
    try:
        return loaded_models.load(version).size_bytes
    except Unavailable as error:
        # Requests for predictions of it get the same error.
        log.warning("%s was not loaded in advance: %s", version, error)
        return 0
