"""What a version did to the process that called it. Open incidents keep a version out of the web processes."""

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _


class Kind(models.TextChoices):
    HUNG = "hung", _("hung")
    CRASHED = "crashed", _("crashed its process")
    EXITED = "exited", _("ended its process")
    OUT_OF_MEMORY = "out_of_memory", _("ran out of memory")


class Incident(models.Model):
    """One time that a call of a version did not come back, written by whoever found out; somebody may clear it."""

    Kind = Kind

    version = models.ForeignKey("registry.ModelVersion", on_delete=models.CASCADE, related_name="incidents")
    kind = models.CharField(max_length=20, choices=Kind.choices)
    process = models.CharField(max_length=200, help_text="Host and number of the process that it happened to.")
    detail = models.TextField(blank=True, help_text="What was seen. Never what was put in.")
    happened_at = models.DateTimeField()
    cleared_at = models.DateTimeField(null=True, blank=True, help_text="When somebody trusted the version again.")

    class Meta:
        ordering = ("-pk",)
        indexes = [
            # which versions have open ones; few rows.
            models.Index(fields=["version"], condition=models.Q(cleared_at=None), name="registry_incident_open"),
            # the newest ones of a version: its page.
            models.Index(fields=["version", "-id"], name="registry_incident_version"),
        ]

    def __str__(self) -> str:
        kind: Any = self.get_kind_display()
        return f"{self.version} {kind}"
