"""What is registered: models, their versions and which of them was live when."""

from collections import OrderedDict
from datetime import datetime
from functools import cached_property
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Exists, ExpressionWrapper, OuterRef, Prefetch, Q, Subquery
from django.utils.translation import gettext_lazy as _

from registry.models.golden_check import GoldenCheck
from registry.models.incident import Incident, in_words
from registry.schema.record import RecordSchema

NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
_name_validator = RegexValidator(
    rf"\A{NAME_PATTERN}\Z",
    "Use letters, digits, '.', '_' and '-', starting with a letter or digit.",
)


class ModelQuerySet(models.QuerySet["Model"]):
    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> "ModelQuerySet":
        """Models that `user` may read and use: the public ones, and every one for a signed-in user."""
        return self if user.is_authenticated else self.filter(is_public=True)

    def with_live_versions(self) -> "ModelQuerySet":
        """With each model's live version, if any, as the one entry of its list `live_versions`."""
        live = ModelVersion.objects.live().only("tag", "model_id")
        return self.prefetch_related(Prefetch("versions", live, to_attr="live_versions"))

    def with_default(self) -> "ModelQuerySet":
        """With `answers_default`: whether POST /api/predict, which names no model, is answered by this one."""
        default = Q(pk=Subquery(Model.objects.ordered_for_default().values("pk")[:1]))
        is_served = Exists(ModelVersion.objects.live().filter(model=OuterRef("pk")))
        return self.annotate(answers_default=ExpressionWrapper(default & is_served, models.BooleanField()))

    def ordered_for_default(self) -> "ModelQuerySet":
        """The marked default first, else the first model registered."""
        return self.order_by("-is_default", "pk")

    def default(self) -> "Model | None":
        return self.ordered_for_default().first()


class Model(models.Model):
    """A name under which versions of one pipeline are served."""

    name = models.CharField(
        max_length=100,
        unique=True,
        validators=[_name_validator],
        help_text="Stands in the address: /models/NAME.",
    )
    title = models.CharField(max_length=200, blank=True, help_text="For people; the name when empty.")
    description = models.TextField(blank=True, help_text="What it predicts, from what, for whom.")
    is_public = models.BooleanField(
        "public", default=False, help_text="Anyone may use it without signing in. Private: signed-in users."
    )
    is_default = models.BooleanField(
        "default", default=False, help_text="Serves POST /api/predict. Otherwise the first model registered does."
    )
    retention_days = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Days until its ended predictions are deleted, if that is sooner than MLSERVE_RETENTION_DAYS.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ModelQuerySet.as_manager()

    class Meta:
        ordering = ("name",)
        constraints = [
            models.UniqueConstraint(
                fields=["is_default"], condition=Q(is_default=True), name="registry_one_default_model"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def label(self) -> str:
        return self.title or self.name


class ModelVersionQuerySet(models.QuerySet["ModelVersion"]):
    def live(self) -> "ModelVersionQuerySet":
        return self.filter(status=ModelVersion.Status.LIVE)

    def unchecked(self, *, failed_before: datetime) -> "ModelVersionQuerySet":
        """Without a golden check in this process's environment, or with a failed one from before `failed_before`."""
        here = GoldenCheck.objects.here().exclude(verdict=GoldenCheck.Verdict.FAILED, checked_at__lt=failed_before)
        return self.exclude(pk__in=here.values("version"))

    def not_as_inspected(self) -> "models.QuerySet[Any, Any]":
        """Without a golden check in this process's environment that found the same answers. `verdict` is that of the
        check, None where there is none.
        """
        here = GoldenCheck.objects.here().filter(version=models.OuterRef("pk"))
        checked = self.annotate(verdict=models.Subquery(here.values("verdict")))
        return checked.filter(Q(verdict=None) | ~Q(verdict=GoldenCheck.Verdict.SAME))

    def without_bulk(self) -> "ModelVersionQuerySet":
        """Without the large columns that only inspection reports and golden checks read."""
        return self.defer("parameters", "sample_rows", "golden_outputs", "report")

    def with_open_incidents(self) -> "ModelVersionQuerySet":
        """With the open incidents of each, newest first, as its list `open_incidents`."""
        return self.prefetch_related(Prefetch("incidents", Incident.objects.open(), to_attr="open_incidents"))


class ModelVersion(models.Model):
    """One artifact under one tag, with everything read from it at its inspection. Only its status changes.

    `status` is written by registry/publishing/publish.py only.
    """

    class Status(models.TextChoices):
        READY = "ready", _("ready")
        LIVE = "live", _("live")
        RETIRED = "retired", _("retired")

    model = models.ForeignKey(Model, on_delete=models.PROTECT, related_name="versions")
    tag = models.CharField(max_length=100, validators=[_name_validator])
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.READY)

    artifact_key = models.CharField(max_length=200, help_text="Where the bytes are in the artifact storage.")
    artifact_format = models.CharField(max_length=30)
    sha256 = models.CharField("SHA-256", max_length=64)
    size_bytes = models.PositiveBigIntegerField()

    # PostgreSQL's jsonb does not keep the order of names, so `columns` has the order of columns.
    schema = models.JSONField(help_text="JSON Schema 2020-12 of one record.")
    columns = models.JSONField(help_text="Columns in training order with their pandas dtypes.")
    container = models.CharField(
        max_length=10, help_text="What the pipeline was fitted on: a frame, an array, texts or records (dicts)."
    )
    form_config = models.JSONField(null=True, blank=True)
    outputs = models.JSONField(help_text="Methods the pipeline has, of predict, predict_proba, …")
    class_labels = models.JSONField(null=True, blank=True)
    is_batchable = models.BooleanField(
        "batchable", default=True, help_text="Whether rows of several requests may share one predict call."
    )

    admission = models.CharField(
        max_length=200,
        blank=True,
        db_default="",
        help_text="What this service signed when it admitted the artifact.",
    )
    other_versions_allowed_by = models.CharField(
        max_length=200, blank=True, db_default="", help_text="Who admitted it although another scikit-learn trained it."
    )

    parameters = models.JSONField(
        null=True, blank=True, help_text="Classes and parameters of the pipeline's parts; null: not recorded."
    )
    sample_rows = models.JSONField(default=list)
    golden_outputs = models.JSONField(default=dict, help_text="What the sample rows gave at the inspection.")
    report = models.JSONField(default=dict)
    environment = models.JSONField(default=dict, help_text="Versions it was trained and inspected with.")

    uploaded_by = models.CharField(max_length=200, blank=True)
    uploaded_at = models.DateTimeField(auto_now_add=True)

    objects = ModelVersionQuerySet.as_manager()

    class Meta:
        verbose_name = "version"
        permissions = [("allow_other_versions", "Can admit artifacts that another scikit-learn trained")]
        ordering = ("-uploaded_at", "-pk")
        constraints = [
            models.UniqueConstraint(fields=["model", "tag"], name="registry_unique_tag_per_model"),
            # Also the index of the hottest look-up: the live version of a model.
            models.UniqueConstraint(
                fields=["model"], condition=Q(status="live"), name="registry_one_live_version_per_model"
            ),
            models.CheckConstraint(
                condition=Q(status__in=["ready", "live", "retired"]), name="registry_version_status_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model.name} {self.tag}"

    @property
    def is_live(self) -> bool:
        return self.status == self.Status.LIVE

    @property
    def incidents_in_words(self) -> str:
        """“hung 3 times; last 2026-11-24 03:15 UTC”; empty without open incidents."""
        return in_words(self.open_incidents if hasattr(self, "open_incidents") else self.incidents.open())

    @cached_property
    def record_schema(self) -> RecordSchema:
        return _shared_schema(self)

    def ordered_schema(self) -> dict[str, Any]:
        """The JSON Schema with its properties in column order again."""
        return self.record_schema.json_schema

    def example(self) -> dict[str, Any]:
        """A record to show: the first of the sample rows, else one made from the schema."""
        rows: list[dict[str, Any]] = self.sample_rows
        return rows[0] if rows else self.record_schema.example()


class Promotion(models.Model):
    """One change of the live version. `replaced` is the promotion before it, which a rollback restores.

    A retirement names the version that ended to be live.
    """

    class Kind(models.TextChoices):
        PROMOTE = "promote", _("promote")
        ROLLBACK = "rollback", _("rollback")
        RETIRE = "retire", _("retire")

    model = models.ForeignKey(Model, on_delete=models.CASCADE, related_name="promotions")
    version = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="promotions")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    replaced = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    promoted_by = models.CharField(max_length=200, blank=True)
    promoted_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-pk",)

    def __str__(self) -> str:
        return f"{self.kind} {self.version}"


# A version's schema never changes, and compiling its validator costs more than validating a row.
_schemas: OrderedDict[tuple[int, datetime], RecordSchema] = OrderedDict()
_MOST_SCHEMAS = 256


def _shared_schema(version: ModelVersion) -> RecordSchema:
    """The one RecordSchema of a version in this process; its validators may be used by several threads."""
    key = (version.pk, version.uploaded_at)
    schema = _schemas.get(key)
    if schema is None:
        schema = RecordSchema.from_stored(version.schema, version.columns, version.container)
        _schemas[key] = schema
        while len(_schemas) > _MOST_SCHEMAS:
            _schemas.popitem(last=False)
    return schema


def validate_name(value: str, what: str) -> None:
    """Raise ValidationError with a sentence when `value` cannot stand in an address as a model name or tag."""
    if len(value) > 100:
        raise ValidationError(f"The {what} is longer than 100 characters.")
    try:
        _name_validator(value)
    except ValidationError as error:
        raise ValidationError(f"{value!r} cannot be a {what}. {error.message}") from None
