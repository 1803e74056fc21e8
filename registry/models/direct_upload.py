"""One upload of any size: its row, its states and the arrows between them, each one compare-and-set.

   open ──submit──► queued ──claim──► inspecting ──finish──► published | refused | failed
     │                 ▲                  │
     └─cancel─► canceled└────release──────┘   the lease ran out (worker died); failed after MLSERVE_MAX_ATTEMPTS

At most one upload is inspected at a time by all workers together, so that the others stay free for predictions: an
inspection may take minutes, and as much memory as its artifact needs. A unique constraint ensures it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, models, transaction
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from uuid_utils.compat import uuid7

from mlserve.errors import GivenUp, MlserveError
from registry.multipart.parts import Staging

# The parts of an upload that was not submitted within this time are deleted.
OPEN_FOR = timedelta(hours=24)
# In addition to the inspection: fetching, hashing and storing an artifact, which may be a gibibyte over a slow network.
_TRANSFER_SECONDS = 300

# A lease that ends later, by more than this, than one that begins now was given by a host whose clock is wrong.
_LARGEST_CLOCK_DIFFERENCE = timedelta(hours=1)


class Status(models.TextChoices):
    OPEN = "open", _("open")
    QUEUED = "queued", _("queued")
    INSPECTING = "inspecting", _("inspecting")
    PUBLISHED = "published", _("published")
    REFUSED = "refused", _("refused")
    FAILED = "failed", _("failed")
    CANCELED = "canceled", _("canceled")


ENDED = (Status.PUBLISHED, Status.REFUSED, Status.FAILED, Status.CANCELED)


def inspection_task_seconds() -> int:
    """The longest that one upload may keep a worker."""
    seconds: int = settings.MLSERVE_INSPECTION_SECONDS + _TRANSFER_SECONDS
    return seconds


def _lease_duration() -> timedelta:
    """The longest inspection, and fifteen seconds to record its end after the worker's time is up."""
    return timedelta(seconds=inspection_task_seconds() + 15)


class DirectUploadQuerySet(models.QuerySet["DirectUpload"]):
    def open(self) -> "DirectUploadQuerySet":
        return self.filter(status=Status.OPEN)

    def queued(self) -> "DirectUploadQuerySet":
        return self.filter(status=Status.QUEUED)

    def inspecting(self) -> "DirectUploadQuerySet":
        return self.filter(status=Status.INSPECTING)

    def ended(self) -> "DirectUploadQuerySet":
        return self.filter(status__in=ENDED)

    def submit(self, upload: "DirectUpload", *, now: datetime) -> bool:
        """open → queued, with the request that `upload` holds; False when it was no longer open."""
        request = {name: getattr(upload, name) for name in ("sha256", "model_name", "tag", "asked")}
        return bool(self.open().filter(pk=upload.pk).update(status=Status.QUEUED, submitted_at=now, **request))

    def cancel(self, upload_id: Any, *, now: datetime) -> bool:
        """open → canceled; False when it was no longer open."""
        return bool(self.open().filter(pk=upload_id).update(status=Status.CANCELED, finished_at=now))

    def claim(self, *, holder: str, now: datetime) -> "DirectUpload | None":
        """queued → inspecting for the one that waited longest; None when none waits or another is inspected."""
        if self.inspecting().exists():
            return None
        oldest = self.queued().order_by("submitted_at", "pk").first()
        if oldest is None:
            return None
        try:
            with transaction.atomic():
                claimed = self.queued().filter(pk=oldest.pk).update(
                    status=Status.INSPECTING, attempts=F("attempts") + 1, lease_holder=holder,
                    lease_expires_at=now + _lease_duration(), progress={"step": "fetching", "checks": []},
                )  # fmt: skip
        except IntegrityError:  # another worker began to inspect another one just now
            return None
        return self.get(pk=oldest.pk) if claimed else None

    def record_progress(self, upload: "DirectUpload", progress: dict[str, Any]) -> bool:
        """Record how far the inspection is; False when the lease of `upload` was lost."""
        return bool(self._held(upload).update(progress=progress))

    def finish(self, upload: "DirectUpload", status: Status, *, now: datetime, **changes: Any) -> bool:
        """inspecting → an ended `status`, with `report`, `problem` or `version`; False when the lease was lost."""
        ended = {"status": status, "finished_at": now, **_NO_LEASE}
        return bool(self._held(upload).update(**ended, **changes))

    def requeue_claimed(self, upload: "DirectUpload") -> bool:
        """inspecting → queued for an upload that was not tried, because a part of the service was unavailable."""
        again = {"status": Status.QUEUED, "attempts": F("attempts") - 1, **_NO_LEASE}
        return bool(self._held(upload).update(**again))

    def requeue_without_attempt(self, *, holders: Sequence[str]) -> int:
        """The same for all uploads that these stopped workers were inspecting."""
        again = {"status": Status.QUEUED, "attempts": F("attempts") - 1, **_NO_LEASE}
        return self.inspecting().filter(lease_holder__in=holders).update(**again)

    def requeue_expired(self, *, now: datetime) -> int:
        """inspecting → queued for uploads that no living worker holds; → failed after MLSERVE_MAX_ATTEMPTS."""
        latest = now + _lease_duration() + _LARGEST_CLOCK_DIFFERENCE
        return self._requeue(Q(lease_expires_at__lt=now) | Q(lease_expires_at__gt=latest), now)

    def requeue_held_by(self, holders: Sequence[str], *, now: datetime) -> int:
        """The same for workers that are known to be gone."""
        return self._requeue(Q(lease_holder__in=holders), now) if holders else 0

    def _requeue(self, which: Q, now: datetime) -> int:
        held = self.inspecting().filter(which)
        given_up = held.filter(attempts__gte=settings.MLSERVE_MAX_ATTEMPTS).update(
            status=Status.FAILED, finished_at=now, problem=_given_up(), **_NO_LEASE
        )
        return given_up + held.update(status=Status.QUEUED, **_NO_LEASE)

    def _held(self, upload: "DirectUpload") -> "DirectUploadQuerySet":
        """The row, unless it was claimed again after `upload` was read: each claim counts an attempt."""
        return self.inspecting().filter(pk=upload.pk, lease_holder=upload.lease_holder, attempts=upload.attempts)


_NO_LEASE: dict[str, Any] = {"lease_holder": "", "lease_expires_at": None, "progress": None}


def problem_of(error: MlserveError) -> dict[str, str]:
    """An error as it is stored in the upload's row."""
    return {"code": error.slug, "title": error.title, "detail": error.detail}


def _given_up() -> dict[str, str]:
    times = settings.MLSERVE_MAX_ATTEMPTS
    return problem_of(
        GivenUp(
            f"The worker died or ran out of time {times} times while it inspected this upload. Look into the worker's "
            "log; a very large model may need more memory, or a higher MLSERVE_INSPECTION_SECONDS."
        )
    )


class DirectUpload(models.Model):
    """An artifact that is sent in parts, past the web server, and then inspected and published by a worker.

    `status` is written by this module's queryset only.
    """

    Status = Status

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+",
        help_text="Who sends it, and alone may see it through the API.",
    )  # fmt: skip
    uploaded_by = models.CharField(max_length=200, blank=True, help_text="The name that the version will bear.")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.OPEN)

    file_name = models.CharField(max_length=255, blank=True, help_text="What the file was called where it came from.")
    size_bytes = models.PositiveBigIntegerField("size", help_text="Of the whole file, as announced, in bytes.")
    part_bytes = models.PositiveBigIntegerField("size of a part", help_text="All but the last one have it, in bytes.")
    transfer_id = models.CharField(max_length=1024, blank=True, help_text="What the storage calls the transfer.")
    has_bytes = models.BooleanField(
        "occupies storage", default=True, help_text="Parts or files of it may still lie in the storage."
    )

    sha256 = models.CharField("SHA-256", max_length=64, blank=True, help_text="Of the whole file, as the sender says.")
    model_name = models.CharField("model", max_length=100, blank=True, help_text="What it is to be published under.")
    tag = models.CharField(max_length=100, blank=True)
    asked = models.JSONField(default=dict, blank=True, help_text="What else was asked for at the submission.")

    progress = models.JSONField(
        null=True, blank=True, help_text="While it is inspected: the step, and the checks that are done."
    )
    report = models.JSONField(null=True, blank=True, help_text="The report of the inspection.")
    problem = models.JSONField(null=True, blank=True, help_text="Why it was not published.")
    version = models.ForeignKey(
        "registry.ModelVersion", on_delete=models.SET_NULL, null=True, blank=True, related_name="+",
        help_text="What it was published as.",
    )  # fmt: skip

    created_at = models.DateTimeField()
    submitted_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    attempts = models.PositiveSmallIntegerField(default=0, help_text="How often a worker began to inspect it.")
    lease_holder = models.CharField(max_length=200, blank=True, default="", help_text="The worker that inspects it.")
    lease_expires_at = models.DateTimeField(null=True, blank=True)

    objects = DirectUploadQuerySet.as_manager()

    class Meta:
        verbose_name = "upload"
        ordering = ("-pk",)
        constraints = [
            models.CheckConstraint(condition=Q(status__in=list(Status.values)), name="registry_upload_status_known"),
            models.CheckConstraint(
                condition=Q(status__in=[*ENDED], finished_at__isnull=False)
                | (~Q(status__in=[*ENDED]) & Q(finished_at=None)),
                name="registry_upload_finished_at_iff_ended",
            ),
            models.CheckConstraint(
                condition=Q(status="inspecting", lease_expires_at__isnull=False)
                | (~Q(status="inspecting") & Q(lease_expires_at=None)),
                name="registry_upload_lease_iff_inspecting",
            ),
            models.UniqueConstraint(
                fields=["status"], condition=Q(status="inspecting"), name="registry_one_upload_inspected"
            ),
        ]
        indexes = [
            # claim, the sweep and the bound of open uploads: few rows, beside the many that have ended.
            models.Index(
                fields=["status", "submitted_at"],
                condition=Q(finished_at=None),
                name="registry_upload_unfinished",
            ),
        ]

    def __str__(self) -> str:
        target = f"{self.model_name} {self.tag}".strip()
        return f"{self.file_name or 'upload'} → {target}" if target else (self.file_name or str(self.pk))

    @property
    def expires_at(self) -> datetime:
        """When it is canceled, unless it was submitted before."""
        return self.created_at + OPEN_FOR

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED

    @property
    def staging(self) -> Staging:
        """Where its bytes are until it has ended."""
        return Staging(f"uploads/{self.pk}", self.transfer_id, self.size_bytes, self.part_bytes)
