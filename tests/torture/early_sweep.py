"""A sweep by a host whose clock is ahead: to it, the leases of living workers have run out.

So two workers predict the same rows, neither of them paused or killed, and only what `finish` looks at can tell which
one may end a prediction. No other fault gets there: a guard or a time limit ends a worker that has lost its lease.
"""

import time
from datetime import timedelta

from django.utils import timezone

from predictions.models import Prediction
from predictions.queue import wake_ups

_AHEAD = timedelta(minutes=5)
_PAUSE_SECONDS = 1.0


def sweep_early(times: int, *, patience_seconds: float = 20) -> int:
    """Requeue what is being predicted, so many times; how many predictions that were.

    One that is requeued as often as it has attempts is given up, and rightly so: let it be less often.
    """
    deadline, taken = time.monotonic() + patience_seconds, 0
    for _ in range(times):
        before = taken
        while taken == before and time.monotonic() < deadline:
            if Prediction.objects.running().exists():
                taken += Prediction.objects.requeue_expired(now=timezone.now() + _AHEAD)
                wake_ups.call_worker()
        time.sleep(_PAUSE_SECONDS)
    return taken
