"""Load live versions before they are asked for, as far as the memory for them goes."""

import logging

from django.conf import settings

from mlserve.errors import Unavailable
from predictions.model_host.errors import ModelEnded
from predictions.runtime import incidents, loaded_models
from registry.models import ModelVersion

log = logging.getLogger(__name__)

# Versions that do not load in this environment; a request for one tries it again.
_refused: set[int] = set()


def warm_models() -> None:
    """Load those that are not quarantined, smallest first: more than fit would only push out the first ones.

    A request for a version that is not loaded yet loads it as usual. Raises DatabaseError.
    """
    room_bytes = settings.MLSERVE_MODEL_CACHE_BYTES
    live = ModelVersion.objects.live().exclude(pk__in=incidents.standing().quarantined)
    for version in live.exclude(pk__in=_refused).select_related("model").order_by("size_bytes", "pk"):
        taken_bytes = _load(version)
        room_bytes -= taken_bytes
        if room_bytes < taken_bytes:  # and the next one is no smaller
            break


def _load(version: ModelVersion) -> int:
    """How many bytes its process has for itself."""
    try:
        with incidents.reported(version):
            return loaded_models.load(version).size_bytes
    except (Unavailable, ModelEnded) as error:
        if isinstance(error, Unavailable) and not error.may_pass:
            _refused.add(version.pk)
        # Requests for predictions of it get the same error.
        log.warning("%s was not loaded in advance: %s", version, error)
        return 0
