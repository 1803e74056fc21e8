"""All that is stored of the predictions of versions: erased before the registry deletes their model."""

import time
from typing import Any

from predictions.models import Prediction
from predictions.store.personal_data import erase_page

_AT_ONCE = 100


def erase_of_versions(version_ids: list[int], seconds: float, **_signal: Any) -> int:
    """Erase the predictions of these versions, for about `seconds`; how many. A receiver of `predictions_unwanted`.

    What is being predicted at this moment stays, and what the time did not suffice for. Raises Unavailable when the
    storage does not answer.
    """
    deadline = time.monotonic() + seconds
    erased = 0
    for version_id in version_ids:
        entries = Prediction.objects.of_version(version_id).values_list("pk", flat=True)
        ids = list(entries[:_AT_ONCE])
        while ids and time.monotonic() < deadline:
            gone, _running = erase_page(ids)
            erased += gone
            ids = list(entries.filter(pk__gt=ids[-1])[:_AT_ONCE])
    return erased
