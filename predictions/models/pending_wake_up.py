"""The table of wake-ups that no worker has received yet."""

from django.db import models


class PendingWakeUp(models.Model):
    """When a worker was last called and has not answered: one row per queue name, and one for the sweep.

    Written by predictions/queue/wake_ups.py only.
    """

    queue = models.CharField(max_length=100, primary_key=True)
    sent_at = models.DateTimeField(null=True, blank=True, db_column="rung_at")

    class Meta:
        # Table and column keep their old names, because processes of the previous release run beside new ones.
        db_table = "predictions_wakeup"

    def __str__(self) -> str:
        return self.queue
