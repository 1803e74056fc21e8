"""The wake-up on its way to a worker: one row per queue name."""

from django.db import models


class PendingWakeUp(models.Model):
    """The worker's door bell: one row per queue name. Written by predictions/queue/wake_ups.py only."""

    queue = models.CharField(max_length=100, primary_key=True)
    sent_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.queue
