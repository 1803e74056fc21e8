"""A prediction as JSON: one object, the same everywhere."""

from functools import cache
from typing import Any
from uuid import UUID

import orjson
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.http import HttpRequest
from django.urls import get_script_prefix, reverse
from rest_framework import serializers
from rest_framework.request import Request

from predictions.models import Prediction, queue_seconds
from predictions.status import Status
from predictions.store.reading import may_see_inputs, shown_error

_ANY_ID = UUID(int=0)
# A cursor in OpenAPI's words: an empty one begins at the newest.
ID_OR_NOTHING = {"anyOf": [{"type": "string", "format": "uuid"}, {"type": "string", "maxLength": 0}]}


class PredictionSerializer(serializers.Serializer[Prediction]):
    """Documents the object for OpenAPI; `prediction_json` makes it. Inputs are left out: large and personal."""

    prediction_id = serializers.UUIDField(help_text="UUIDv7.")
    status = serializers.ChoiceField(choices=Status.choices)
    model = serializers.CharField()
    version = serializers.CharField()
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    rows = serializers.IntegerField(min_value=1)
    result = serializers.DictField(allow_null=True)
    warnings = serializers.ListField(child=serializers.DictField())
    error = serializers.DictField(allow_null=True)
    metrics = serializers.DictField(child=serializers.FloatField(allow_null=True))
    url = serializers.URLField()

    def to_representation(self, instance: Prediction) -> dict[str, Any]:
        return prediction_json(instance, self.context["request"])


class AcceptedSerializer(serializers.Serializer[Prediction]):
    """What a submission is answered with before it has ended; `accepted_json` makes it."""

    prediction_id = serializers.UUIDField(help_text="UUIDv7.")
    status = serializers.ChoiceField(choices=Status.choices)
    model = serializers.CharField()
    version = serializers.CharField()
    url = serializers.URLField()


def prediction_json(prediction: Prediction, request: Request | HttpRequest) -> dict[str, Any]:
    """For orjson: what the database holds as JSON is passed on as it is. Needs `version` and `version.model`."""
    return {
        "prediction_id": prediction.pk,
        "status": prediction.status,
        "model": prediction.version.model.name,
        "version": prediction.version.tag,
        "created_at": prediction.created_at,
        "started_at": prediction.started_at,
        "finished_at": prediction.finished_at,
        "rows": prediction.row_count,
        "result": None if prediction.result is None else orjson.Fragment(prediction.result_json or b""),
        "warnings": orjson.Fragment(prediction.warnings),
        "error": _error(prediction, request.user),
        "metrics": {"queue_seconds": queue_seconds(prediction), "predict_seconds": prediction.predict_seconds},
        "url": prediction_url(prediction, request),
    }


def _error(prediction: Prediction, user: AbstractBaseUser | AnonymousUser) -> dict[str, Any] | None:
    return shown_error(prediction, with_inputs=may_see_inputs(prediction, user)) if prediction.error else None


def accepted_json(prediction: Prediction, request: Request | HttpRequest) -> dict[str, Any]:
    return {
        "prediction_id": prediction.pk,
        "status": prediction.status,
        "model": prediction.version.model.name,
        "version": prediction.version.tag,
        "url": prediction_url(prediction, request),
    }


def prediction_url(prediction: Prediction, request: Request | HttpRequest) -> str:
    return f"{request.scheme}://{request.get_host()}{_detail_path(get_script_prefix())}{prediction.pk}"


@cache
def _detail_path(_script_prefix: str) -> str:
    """The path of a prediction without its id."""
    return reverse("prediction-detail", kwargs={"pk": _ANY_ID}).removesuffix(str(_ANY_ID))
