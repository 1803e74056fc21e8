"""What was counted so far, by all processes together: the memory of /metrics."""

from django.db import models


class Figure(models.Model):
    """One number that only grows. It outlives the predictions that it counts: retention must not make it smaller.

    Labels are words instead of keys, so that the number of a version that was deleted stays, too.
    """

    metric = models.CharField(max_length=40)
    model = models.CharField(max_length=100, blank=True)
    version = models.CharField(max_length=100, blank=True)
    label = models.CharField(max_length=40, blank=True)
    value = models.FloatField(default=0)

    class Meta:
        constraints = [
            # the upsert that adds to it
            models.UniqueConstraint(fields=["metric", "model", "version", "label"], name="predictions_figure_once"),
        ]

    def __str__(self) -> str:
        labels = ",".join(each for each in (self.model, self.version, self.label) if each)
        return f"{self.metric}{{{labels}}} {self.value:g}"
