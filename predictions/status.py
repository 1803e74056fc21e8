"""The states of a prediction and which of them are final. ARCHITECTURE.md draws the arrows."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Status(models.TextChoices):
    QUEUED = "queued", _("queued")
    RUNNING = "running", _("running")
    SUCCEEDED = "succeeded", _("succeeded")
    FAILED = "failed", _("failed")
    CANCELED = "canceled", _("canceled")
    EXPIRED = "expired", _("expired")


ENDED = (Status.SUCCEEDED, Status.FAILED, Status.CANCELED, Status.EXPIRED)
