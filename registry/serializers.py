"""Models and versions as JSON."""

from typing import Any

from rest_framework import serializers
from rest_framework.reverse import reverse

from registry.models import Model, ModelVersion


class VersionSerializer(serializers.ModelSerializer[ModelVersion]):
    model = serializers.CharField(source="model.name", read_only=True)
    is_live = serializers.BooleanField(read_only=True)
    columns = serializers.SerializerMethodField()
    url = serializers.SerializerMethodField()

    class Meta:
        model = ModelVersion
        fields = (
            "model", "tag", "status", "is_live", "sha256", "size_bytes", "artifact_format", "outputs",
            "class_labels", "is_batchable", "columns", "environment", "uploaded_by", "uploaded_at", "url",
        )  # fmt: skip

    def get_columns(self, version: ModelVersion) -> list[dict[str, str]]:
        return [{"name": column.name, "dtype": column.dtype} for column in version.record_schema.columns]

    def get_url(self, version: ModelVersion) -> str:
        kwargs = {"model": version.model.name, "tag": version.tag}
        return reverse("version-detail", kwargs=kwargs, request=self.context.get("request"))


class VersionDetailSerializer(VersionSerializer):
    """With what is too long for a list."""

    schema = serializers.SerializerMethodField()

    class Meta(VersionSerializer.Meta):
        fields = (*VersionSerializer.Meta.fields, "schema", "form_config", "report")  # type: ignore[assignment]

    def get_schema(self, version: ModelVersion) -> dict[str, Any]:
        return version.ordered_schema()


class ModelSerializer(serializers.ModelSerializer[Model]):
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
        """The tag; needs `ModelQuerySet.with_live_versions`."""
        live: list[ModelVersion] = getattr(model, "live_versions", [])
        return live[0].tag if live else None

    def get_url(self, model: Model) -> str:
        return reverse("model-detail", kwargs={"model": model.name}, request=self.context.get("request"))

    def get_predict_url(self, model: Model) -> str:
        return reverse("model-predict", kwargs={"model": model.name}, request=self.context.get("request"))


class TagSerializer(serializers.Serializer[dict[str, str]]):
    tag = serializers.CharField(max_length=100, help_text="The version to make live.")


class VersionUploadSerializer(serializers.Serializer[dict[str, Any]]):
    """The multipart form of an upload."""

    artifact = serializers.FileField(help_text="The fitted pipeline: pickle or joblib.")
    tag = serializers.CharField(max_length=100)
    schema = serializers.FileField(required=False, help_text="validation.py (class RawData) or a JSON Schema.")
    schema_class = serializers.CharField(
        required=False, max_length=100, default="RawData", help_text="The pydantic class in validation.py."
    )
    sample = serializers.FileField(required=False, help_text="Some raw rows: JSON or CSV.")
    form = serializers.FileField(required=False, help_text="The form configuration: JSON.")
    promote = serializers.BooleanField(required=False, default=False)
