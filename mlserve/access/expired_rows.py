"""What is kept about callers for some minutes only: counts of throttles, wrong passwords."""

from axes.models import AccessAttempt
from django.conf import settings
from django.utils import timezone

from mlserve.models import RateWindow


def forget_callers() -> int:
    """Delete what has ended; how many rows. A part of the sweep."""
    now = timezone.now()
    windows, _ = RateWindow.objects.filter(ends_at__lt=now).delete()
    attempts, _ = AccessAttempt.objects.filter(attempt_time__lt=now - settings.AXES_COOLOFF_TIME).delete()
    return windows + int(attempts)
