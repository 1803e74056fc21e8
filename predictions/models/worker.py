"""The table of living workers."""

from django.db import models


class Worker(models.Model):
    """A worker process and when it was last seen, so that its predictions can be requeued when it is gone."""

    name = models.CharField(max_length=200, primary_key=True)
    host = models.CharField(max_length=200)
    pid = models.PositiveIntegerField()
    seen_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name
