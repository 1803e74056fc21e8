"""What all processes together counted so far, for /metrics."""

from django.db import models


class Total(models.Model):
    """One number that only grows. It stays when retention deletes the predictions that it counts.

    Labels are names instead of foreign keys, so that it also stays when its version is deleted.
    """

    metric = models.CharField(max_length=40)
    model = models.CharField(max_length=100, blank=True)
    version = models.CharField(max_length=100, blank=True)
    label = models.CharField(max_length=40, blank=True)
    value = models.FloatField(default=0)

    class Meta:
        # The table keeps the name that processes of the release before know while both run.
        db_table = "predictions_figure"
        constraints = [
            # the upsert that adds to it
            models.UniqueConstraint(fields=["metric", "model", "version", "label"], name="predictions_figure_once"),
        ]

    def __str__(self) -> str:
        labels = ",".join(each for each in (self.model, self.version, self.label) if each)
        return f"{self.metric}{{{labels}}} {self.value:g}"
