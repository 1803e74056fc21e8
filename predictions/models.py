"""The tables of predictions, the door bell and the workers."""

from typing import Any

import orjson
from django.conf import settings
from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

from predictions import payloads

# Django looks for models here.
from predictions.figure import Figure as Figure  # noqa: PLC0414
from predictions.status import ENDED, Status
from predictions.transitions import PredictionQuerySet
from registry.models import ModelVersion


class Prediction(models.Model):
    """One accepted request, from its rows to its result. The row is the truth; the queue only wakes a worker."""

    Status = Status

    # Time-ordered, so the primary key is also the order of arrival.
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="+", db_index=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    # No foreign key: who revokes a token may still want what was asked with it, and each insert would pay for it.
    token_id = models.BigIntegerField(null=True, blank=True, help_text="The API token that it was asked with.")
    request_id = models.CharField(
        max_length=100, blank=True, default="", db_default="", help_text="Of the HTTP request."
    )
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED)
    outputs = models.CharField(max_length=100, default="predict", help_text="Methods asked for, comma-separated.")
    row_count = models.PositiveIntegerField()

    # JSON as text: jsonb would reorder names, change numbers and refuse \u0000; nothing queries inside. Large inputs
    # and results are references (predictions/payloads.py).
    inputs = models.TextField()
    is_raw = models.BooleanField(
        default=False, db_default=False, help_text="Whether the input still holds values that are not to be kept."
    )
    result = models.TextField(null=True, blank=True)  # noqa: DJ001 - absent is not an empty result
    warnings = models.TextField(default="[]")
    error = models.TextField(null=True, blank=True)  # noqa: DJ001

    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    predict_seconds = models.FloatField(null=True, blank=True)

    attempts = models.PositiveSmallIntegerField(default=0)
    lease_holder = models.CharField(max_length=200, blank=True, default="")
    lease_expires_at = models.DateTimeField(null=True, blank=True)

    objects = PredictionQuerySet.as_manager()

    class Meta:
        ordering = ("-pk",)
        permissions = [("view_inputs", "Can see what was put in")]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=list(Status.values)),
                name="predictions_status_known",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["queued", "running"], finished_at=None)
                | Q(status__in=[state.value for state in ENDED], finished_at__isnull=False),
                name="predictions_finished_at_iff_ended",
            ),
            models.CheckConstraint(
                condition=Q(status="running", lease_expires_at__isnull=False)
                | (~Q(status="running") & Q(lease_expires_at=None)),
                name="predictions_lease_iff_running",
            ),
            models.CheckConstraint(
                condition=~Q(status="succeeded") | Q(result__isnull=False), name="predictions_result_if_succeeded"
            ),
        ]
        # Each insert pays for each index that holds its row: an ended prediction is in two of them, the partial ones
        # are nearly empty. Retention and listings by id need none of their own.
        indexes = [
            # claim: the oldest waiting prediction, and the others of its version; expire; listings of what waits.
            models.Index(fields=["id"], condition=Q(status="queued"), name="predictions_queued"),
            models.Index(fields=["version", "id"], condition=Q(status="queued"), name="predictions_queued_version"),
            # release and listings: a batch per worker at most, so the rest is looked at row by row.
            models.Index(fields=["id"], condition=Q(status="running"), name="predictions_running"),
            # listings: one's own, and those of a version.
            models.Index(fields=["owner", "-id"], name="predictions_owner"),
            models.Index(fields=["version", "-id"], name="predictions_version"),
            # mending what a process ended that did not know what is to be kept, or was killed before it had tidied up.
            models.Index(
                fields=["id"], condition=Q(is_raw=True, finished_at__isnull=False), name="predictions_raw_ended"
            ),
            # listings of what failed, was canceled or expired (`unanswered`): everybody's, and one's own.
            models.Index(
                fields=["status", "-id"],
                condition=Q(result=None, finished_at__isnull=False),
                name="predictions_unanswered",
            ),
            models.Index(
                fields=["owner", "status", "-id"],
                condition=Q(result=None, finished_at__isnull=False),
                name="predictions_unanswered_own",
            ),
        ]

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The validated input. Raises Unavailable when it lies in a storage that does not answer."""
        rows: list[dict[str, Any]] = orjson.loads(payloads.fetch(self.inputs))
        return rows

    @property
    def result_json(self) -> str | bytes | None:
        """The result as JSON text; None unless it succeeded. Raises Unavailable."""
        return None if self.result is None else payloads.fetch(self.result)


class WakeUp(models.Model):
    """The worker's door bell: one row per queue name. Written by predictions/queue.py only."""

    queue = models.CharField(max_length=100, primary_key=True)
    rung_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.queue


class Worker(models.Model):
    """A worker process and when it was last seen, so that its leases can be taken back when it is gone."""

    name = models.CharField(max_length=200, primary_key=True)
    host = models.CharField(max_length=200)
    pid = models.PositiveIntegerField()
    seen_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name
