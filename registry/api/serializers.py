"""Models and versions as JSON."""

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.reverse import reverse

from registry.models import NAME_PATTERN, DirectUpload, Model, ModelVersion
from registry.models.golden_check import Verdict
from registry.schema.long_lists import without_long_lists

_ACCOUNTS = ("uploaded_by", "other_versions_allowed_by")


class VersionSerializer(serializers.ModelSerializer[ModelVersion]):
    model = serializers.CharField(source="model.name", read_only=True)
    is_live = serializers.BooleanField(read_only=True)
    columns = serializers.SerializerMethodField()
    incidents = serializers.CharField(
        source="incidents_in_words",
        read_only=True,
        help_text="What the version did to processes that called it; it may be predicted apart. Usually empty.",
    )
    url = serializers.SerializerMethodField()

    class Meta:
        model = ModelVersion
        fields = (
            "model", "tag", "status", "is_live", "sha256", "size_bytes", "artifact_format", "outputs",
            "class_labels", "is_batchable", "columns", "environment", "other_versions_allowed_by", "uploaded_by",
            "uploaded_at", "incidents", "url",
        )  # fmt: skip

    def to_representation(self, instance: ModelVersion) -> dict[str, Any]:
        """Without the names of accounts for callers who are not signed in: they would help to guess passwords."""
        shown: dict[str, Any] = super().to_representation(instance)
        request = self.context.get("request")
        is_signed_in = request is not None and request.user.is_authenticated
        return shown if is_signed_in else {**shown, **dict.fromkeys(_ACCOUNTS, "")}

    def get_columns(self, version: ModelVersion) -> list[dict[str, str]]:
        return [{"name": column.name, "dtype": column.dtype} for column in version.record_schema.columns]

    def get_url(self, version: ModelVersion) -> str:
        kwargs = {"model": version.model.name, "tag": version.tag}
        return reverse("version-detail", kwargs=kwargs, request=self.context.get("request"))


class VersionDetailSerializer(VersionSerializer):
    """With the fields that are too long for a list."""

    schema = serializers.SerializerMethodField(
        help_text="JSON Schema of one record, without lists of hundreds of values: those are at its own address."
    )
    verdict = serializers.SerializerMethodField(
        help_text="Whether its sample rows get the same answers in this server's environment; null: not asked yet."
    )

    class Meta(VersionSerializer.Meta):
        fields = (*VersionSerializer.Meta.fields, "verdict", "schema", "form_config", "report")  # type: ignore[assignment]

    def get_schema(self, version: ModelVersion) -> dict[str, Any]:
        kwargs = {"model": version.model.name, "tag": version.tag}
        return without_long_lists(version.ordered_schema(), reverse("version-schema", kwargs=kwargs))

    @extend_schema_field(serializers.ChoiceField(choices=Verdict.choices, allow_null=True))
    def get_verdict(self, version: ModelVersion) -> str | None:
        return version.golden_checks.here().values_list("verdict", flat=True).first()


class ModelSerializer(serializers.ModelSerializer[Model]):
    """Needs `ModelQuerySet.with_default` and `with_live_versions`."""

    is_default = serializers.BooleanField(
        source="answers_default",
        read_only=True,
        help_text="Whether it answers POST /api/predict: the model that is marked, else the first one registered.",
    )
    live_version = serializers.SerializerMethodField()
    url = serializers.SerializerMethodField()
    predict_url = serializers.SerializerMethodField()

    class Meta:
        model = Model
        fields = (
            "name", "title", "description", "is_public", "is_default", "live_version", "created_at", "url",
            "predict_url",
        )  # fmt: skip

    def get_live_version(self, model: Model) -> str | None:
        """The tag."""
        live: list[ModelVersion] = getattr(model, "live_versions", [])
        return live[0].tag if live else None

    def get_url(self, model: Model) -> str:
        return reverse("model-detail", kwargs={"model": model.name}, request=self.context.get("request"))

    def get_predict_url(self, model: Model) -> str:
        return reverse("model-predict", kwargs={"model": model.name}, request=self.context.get("request"))


class _TextField(serializers.CharField):
    """Refuses JSON's numbers: 1.0 would become "1.0" from one client and "1" from another."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


@extend_schema_field({"type": "string", "pattern": f"^{NAME_PATTERN}$", "maxLength": 100})
class _NameField(_TextField):
    """Not validated here: `publishing.publish.require_names` and the look-up have better messages."""


@extend_schema_field({"type": "integer", "minimum": 1, "maximum": settings.MLSERVE_MAX_ARTIFACT_BYTES})
class _FileSizeField(serializers.IntegerField):
    """Not bounded here: `uploads.sender.open_upload` has a better message."""


class TagSerializer(serializers.Serializer[dict[str, str]]):
    tag = _NameField(max_length=100, help_text="The version to make live.")


class RetirementSerializer(serializers.Serializer[dict[str, str]]):
    tag = _NameField(
        required=False, max_length=100, help_text="Refused unless this is the live version. Absent: whichever is."
    )


class VersionUploadSerializer(serializers.Serializer[dict[str, Any]]):
    """The multipart form of an upload: with the artifact itself, or with the id of one that was sent before."""

    artifact = serializers.FileField(
        required=False,
        help_text="The fitted pipeline: skops, joblib or pickle; also a zip of an MLflow model, or a model.tar.gz. "
        "Larger ones: POST /api/uploads.",
    )
    upload = serializers.UUIDField(required=False, help_text="Instead of `artifact`: the `upload_id` of what was sent.")
    sha256 = serializers.RegexField(
        r"\A[0-9a-fA-F]{64}\Z",
        required=False,
        help_text="With `upload`: of the whole file, in hexadecimal.",
        error_messages={"invalid": "This is no SHA-256: 64 hexadecimal digits."},
    )
    tag = _NameField(max_length=100)
    schema = serializers.FileField(required=False, help_text="validation.py (class RawData) or a JSON Schema.")
    schema_class = serializers.CharField(
        required=False, max_length=100, default="RawData", help_text="The pydantic class in validation.py."
    )
    sample = serializers.FileField(required=False, help_text="Some raw rows: CSV with a header line, or JSON.")
    expected = serializers.FileField(
        required=False,
        help_text="The trainer's answers to the sample rows, which the inspection compares: CSV as "
        "pd.Series(pipeline.predict(X)).to_csv(…) writes it, or a JSON list.",
    )
    expected_column = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=1000,
        trim_whitespace=False,
        help_text="Instead of `expected`: the column of the sample that holds these answers. It is no input.",
    )
    form = serializers.FileField(required=False, help_text="The form configuration: JSON.")
    title = serializers.CharField(
        required=False, max_length=200, default=None, help_text="The model's title for people. Absent: as it is."
    )
    public = serializers.BooleanField(
        source="is_public",
        required=False,
        allow_null=True,
        default=None,
        help_text="Whether anyone may use the model. Absent: as it is.",
    )
    promote = serializers.BooleanField(required=False, default=False)
    allow_other_versions = serializers.BooleanField(
        required=False, default=False, help_text="Admit it although another scikit-learn trained it (a permission)."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("artifact" in attrs) == ("upload" in attrs):
            raise serializers.ValidationError(
                {"artifact": "Send either artifact, a file, or upload, the id of one that was sent in parts."}
            )
        if "upload" in attrs and "sha256" not in attrs:
            raise serializers.ValidationError({"sha256": "An upload needs the SHA-256 of the whole file."})
        return attrs


class OpenUploadSerializer(serializers.Serializer[dict[str, Any]]):
    size_bytes = _FileSizeField(help_text="Of the whole file.")
    file_name = _TextField(required=False, allow_blank=True, max_length=1000, default="")


class PartNumbersSerializer(serializers.Serializer[dict[str, Any]]):
    numbers = serializers.ListField(
        child=serializers.IntegerField(min_value=1), min_length=1, max_length=100, help_text="1 to 100 of them."
    )


class PartSerializer(serializers.Serializer[dict[str, Any]]):
    number = serializers.IntegerField()
    size_bytes = serializers.IntegerField()


class PartAddressSerializer(PartSerializer):
    url = serializers.URLField(help_text="Where to PUT these bytes. Needs no credentials unless it is this server's.")


class PartAddressesSerializer(serializers.Serializer[dict[str, Any]]):
    parts = PartAddressSerializer(many=True)
    expires_in_seconds = serializers.IntegerField()


class CheckProgressSerializer(serializers.Serializer[dict[str, Any]]):
    name = serializers.CharField()
    status = serializers.CharField()


class UploadProgressSerializer(serializers.Serializer[dict[str, Any]]):
    step = serializers.ChoiceField(["waiting", "fetching", "verifying", "inspecting", "storing"])
    checks = CheckProgressSerializer(many=True)


class UploadProblemSerializer(serializers.Serializer[dict[str, Any]]):
    code = serializers.CharField(help_text="The name of its page under /problems/.")
    title = serializers.CharField()
    detail = serializers.CharField()


class UploadedVersionSerializer(serializers.Serializer[dict[str, Any]]):
    model = serializers.CharField()
    tag = serializers.CharField()
    url = serializers.URLField()


class DirectUploadSerializer(serializers.ModelSerializer[DirectUpload]):
    """Needs `arrived`, the numbers of the parts that arrived, in its context."""

    upload_id = serializers.UUIDField(source="id", read_only=True)
    part_count = serializers.IntegerField(source="staging.part_count", read_only=True)
    parts = serializers.SerializerMethodField(help_text="What has arrived, while it is open.")
    url = serializers.SerializerMethodField()
    expires_at = serializers.DateTimeField(read_only=True)
    report = serializers.DictField(read_only=True, allow_null=True, help_text="The report of the inspection.")
    progress = serializers.SerializerMethodField(help_text="While it waits for a worker or is inspected.")
    problem = serializers.SerializerMethodField(help_text="Why it was refused or failed.")
    version = serializers.SerializerMethodField(help_text="What it was published as.")

    class Meta:
        model = DirectUpload
        fields = (
            "upload_id", "status", "file_name", "size_bytes", "part_bytes", "part_count", "parts", "url", "created_at",
            "expires_at", "progress", "report", "problem", "version",
        )  # fmt: skip

    @extend_schema_field(PartSerializer(many=True))
    def get_parts(self, upload: DirectUpload) -> list[dict[str, int]]:
        arrived: list[int] = self.context.get("arrived", [])
        return [{"number": number, "size_bytes": upload.staging.bytes_of(number)} for number in arrived]

    def get_url(self, upload: DirectUpload) -> str:
        return reverse("upload-detail", kwargs={"upload": upload.pk}, request=self.context.get("request"))

    @extend_schema_field(UploadProgressSerializer(allow_null=True))
    def get_progress(self, upload: DirectUpload) -> dict[str, Any] | None:
        waiting = {"step": "waiting", "checks": []} if upload.status == DirectUpload.Status.QUEUED else None
        return upload.progress or waiting

    @extend_schema_field(UploadProblemSerializer(allow_null=True))
    def get_problem(self, upload: DirectUpload) -> dict[str, str] | None:
        return upload.problem

    @extend_schema_field(UploadedVersionSerializer(allow_null=True))
    def get_version(self, upload: DirectUpload) -> dict[str, str] | None:
        if upload.version is None:
            return None
        name = {"model": upload.version.model.name, "tag": upload.version.tag}
        return {**name, "url": reverse("version-detail", kwargs=name, request=self.context.get("request"))}
