"""Predict the golden rows of live versions in each new environment, some at a time, in their model processes.

A version that hangs or ends its process harms no other one, and no prediction waits for it. Each host checks by itself:
a message could reach a host with other packages. `/readyz` reads the verdicts.

| what happens | outcome |
|---|---|
| the answers are the same, or differ | the verdict is stored |
| it hangs, crashes, or runs out of memory | that is stored; again after a while |
| the storage, the database or the model host is unreachable | nothing is stored; again after a minute |
| the service stops meanwhile | checked again at the next start |
| two hosts with the same packages begin at once | both check, and store the same verdict |
"""

import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from django.db import Error as DatabaseError
from django.db import connections
from django.utils import timezone

from predictions.runtime.golden_rerun import verify
from registry.models import ModelVersion

log = logging.getLogger(__name__)

# A check may have failed for lack of memory or time, so it is repeated after this.
RECHECK_FAILED_AFTER = timedelta(minutes=10)
_AT_ONCE = min(2, os.cpu_count() or 1)


def check_live_versions(is_over: Callable[[], bool] = lambda: False) -> bool:
    """Check those that have no verdict in this environment, smallest first; whether all that were tried have one.

    `is_over` is asked before each. Raises DatabaseError when they cannot be read.
    """
    live = ModelVersion.objects.live().unchecked(failed_before=timezone.now() - RECHECK_FAILED_AFTER)
    ids = list(live.order_by("size_bytes", "pk").values_list("pk", flat=True))
    if not ids:
        return True

    def check(version_id: int) -> bool:
        try:
            return is_over() or _check(version_id)
        except DatabaseError as error:
            log.warning("The verdict on a version could not be stored: %s", error)
            return False
        finally:
            connections.close_all()

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="golden-checks") as threads:
        return all(list(threads.map(check, ids)))


def _check(version_id: int) -> bool:
    version = ModelVersion.objects.select_related("model").filter(pk=version_id).first()
    return version is None or verify(version).write_down()
