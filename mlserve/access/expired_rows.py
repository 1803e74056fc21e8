"""Rows about callers that are kept for some minutes only: counts of throttles, and wrong passwords."""

from axes.models import AccessAttempt
from django.conf import settings
from django.utils import timezone

from mlserve.models import RateWindow


def forget_callers() -> int:
    """Delete what has expired; returns the number of rows. The sweep calls this."""
    now = timezone.now()
    windows, _ = RateWindow.objects.filter(ends_at__lt=now).delete()
    attempts, _ = AccessAttempt.objects.filter(attempt_time__lt=now - settings.AXES_COOLOFF_TIME).delete()
    return windows + int(attempts)
