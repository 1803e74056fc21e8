"""How long ended predictions are kept: as long as the service says, or as their model says, if that is shorter."""

import time
from datetime import datetime, timedelta

from django.conf import settings

from predictions.models import Prediction
from predictions.store.personal_data import forget_deleted_accounts
from registry.models import ModelVersion

# A sweep makes room for predictions again after so long; what is left is the next one's, a minute later.
_SECONDS = 5.0


def delete_what_is_too_old(*, now: datetime, seconds: float = _SECONDS) -> int:
    """Delete ended predictions past their time, for about `seconds` at most; how many."""
    deadline = time.monotonic() + seconds
    deleted = Prediction.objects.delete_ended_before(
        now - timedelta(days=settings.MLSERVE_RETENTION_DAYS), seconds=seconds
    )
    shorter = ModelVersion.objects.order_by("pk").filter(model__retention_days__lt=settings.MLSERVE_RETENTION_DAYS)
    for version_id, days in shorter.values_list("pk", "model__retention_days"):
        left = deadline - time.monotonic()
        if left < 0:
            break
        # Each version has a place of its own in an index; that of a model would have to be searched for.
        limit = now - timedelta(days=days or settings.MLSERVE_RETENTION_DAYS)
        deleted += Prediction.objects.of_version(version_id).delete_ended_before(limit, seconds=left)
    forget_deleted_accounts()
    return deleted
