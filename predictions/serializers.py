"""A prediction as JSON: one object, the same everywhere."""

from typing import Any

import orjson
from django.http import HttpRequest
from django.urls import reverse
from rest_framework import serializers
from rest_framework.request import Request

from predictions.models import Prediction
from predictions.status import Status


class PredictionSerializer(serializers.ModelSerializer[Prediction]):
    """Needs `version` and `version.model` joined. Inputs are left out: they can be large and personal."""

    prediction_id = serializers.UUIDField(source="pk", help_text="UUIDv7.")
    model = serializers.CharField(source="version.model.name")
    version = serializers.CharField(source="version.tag")
    rows = serializers.IntegerField(source="row_count")
    result = serializers.SerializerMethodField()
    warnings = serializers.SerializerMethodField()
    error = serializers.SerializerMethodField()
    metrics = serializers.SerializerMethodField()
    url = serializers.SerializerMethodField()

    class Meta:
        model = Prediction
        fields = (
            "prediction_id", "status", "model", "version", "created_at", "started_at", "finished_at", "rows",
            "result", "warnings", "error", "metrics", "url",
        )  # fmt: skip

    def get_result(self, prediction: Prediction) -> dict[str, Any] | None:
        result: dict[str, Any] | None = orjson.loads(prediction.result) if prediction.result else None
        return result

    def get_warnings(self, prediction: Prediction) -> list[dict[str, Any]]:
        warnings: list[dict[str, Any]] = orjson.loads(prediction.warnings)
        return warnings

    def get_error(self, prediction: Prediction) -> dict[str, Any] | None:
        error: dict[str, Any] | None = orjson.loads(prediction.error) if prediction.error else None
        return error

    def get_metrics(self, prediction: Prediction) -> dict[str, float | None]:
        return {"queue_seconds": queue_seconds(prediction), "predict_seconds": prediction.predict_seconds}

    def get_url(self, prediction: Prediction) -> str:
        return prediction_url(prediction, self.context["request"])


class AcceptedSerializer(PredictionSerializer):
    """What a submission is answered with before it has ended."""

    class Meta(PredictionSerializer.Meta):
        fields = ("prediction_id", "status", "model", "version", "url")  # type: ignore[assignment]


def prediction_json(prediction: Prediction, request: Request | HttpRequest) -> dict[str, Any]:
    kind = PredictionSerializer if prediction.has_ended else AcceptedSerializer
    return dict(kind(prediction, context={"request": request}).data)


def prediction_url(prediction: Prediction, request: Request | HttpRequest) -> str:
    return request.build_absolute_uri(reverse("prediction-detail", kwargs={"pk": prediction.pk}))


def queue_seconds(prediction: Prediction) -> float | None:
    """From accepted to claimed, or to its end when it never was."""
    until = prediction.started_at or (prediction.finished_at if prediction.status != Status.QUEUED else None)
    return None if until is None else (until - prediction.created_at).total_seconds()
