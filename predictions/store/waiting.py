"""Wait for a prediction to end, for `Prefer: wait` and the pages."""

import threading
import time
from collections.abc import Callable
from uuid import UUID

from django.conf import settings

from mlserve.prepared import Parameter, PreparedQuery
from mlserve.processes.stopping import seconds_since_stop
from predictions.models import Prediction
from predictions.status import ENDED

# The first looks come quickly, because an idle worker needs some ten milliseconds; later ones spare the database.
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS, _GROWTH = 0.004, 0.1, 1.3
# How long a request goes on waiting once the server was asked to stop.
_STOP_SECONDS = 5.0
_ENDED = PreparedQuery(
    lambda: (
        Prediction.objects.filter(pk=Parameter("pk", Prediction._meta.get_field("id")), status__in=ENDED)
        .order_by()
        .values_list("pk")
    )
)
# Each waiting request holds a thread of the web server; the others stay free for requests that do not wait.
MOST_WAITING = settings.MLSERVE_WEB_THREADS * 3 // 4
_places = threading.BoundedSemaphore(MOST_WAITING)


def wait_until_ended(
    prediction_id: UUID,
    timeout_seconds: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Whether the prediction ended within the time.

    False at once when too many requests wait already, and soon once the server was asked to stop.
    """
    if timeout_seconds <= 0 or not _places.acquire(blocking=False):
        return False
    try:
        return _poll(prediction_id, clock() + timeout_seconds, clock, sleep)
    finally:
        _places.release()


def _poll(prediction_id: UUID, deadline: float, clock: Callable[[], float], sleep: Callable[[float], None]) -> bool:
    pause = _FIRST_PAUSE_SECONDS
    while _ENDED.first(pk=prediction_id) is None:
        left = deadline - clock()
        if left <= 0 or seconds_since_stop() > _STOP_SECONDS:
            return False
        sleep(min(pause, left))
        pause = min(pause * _GROWTH, _LONGEST_PAUSE_SECONDS)
    return True
