"""A prediction as JSON: one object, the same everywhere, and its description for OpenAPI."""

from functools import cache
from typing import Any
from uuid import UUID

import orjson
from django.urls import get_script_prefix, reverse
from rest_framework import serializers
from rest_framework.request import Request

from mlserve.http.problems import with_absolute_type
from predictions.models import Prediction, queue_seconds
from predictions.status import Status
from predictions.store.reading import may_see_inputs, shown_error

_ANY_ID = UUID(int=0)
# A cursor in OpenAPI's words: an empty one begins at the newest.
ID_OR_NOTHING = {"anyOf": [{"type": "string", "format": "uuid"}, {"type": "string", "maxLength": 0}]}


class PredictionSerializer(serializers.Serializer[Prediction]):
    """The whole prediction, for the API and for OpenAPI. Its inputs are left out, for they are large and personal.

    The fields document the object; DRF's way of reading them would take a tenth of the time of a small request.
    """

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
        """For orjson: what the database holds as JSON is passed on as it is. Needs `version` and `version.model`."""
        request = self.context["request"]
        return {
            "prediction_id": instance.pk,
            "status": instance.status,
            "model": instance.version.model.name,
            "version": instance.version.tag,
            "created_at": instance.created_at,
            "started_at": instance.started_at,
            "finished_at": instance.finished_at,
            "rows": instance.row_count,
            "result": None if instance.result is None else orjson.Fragment(instance.result_json or b""),
            "warnings": orjson.Fragment(instance.warnings),
            "error": _error(instance, request),
            "metrics": {"queue_seconds": queue_seconds(instance), "predict_seconds": instance.predict_seconds},
            "url": _url(instance, request),
        }


class AcceptedSerializer(serializers.Serializer[Prediction]):
    """What a submission is answered with before it has ended, for the API and for OpenAPI."""

    prediction_id = serializers.UUIDField(help_text="UUIDv7.")
    status = serializers.ChoiceField(choices=Status.choices)
    model = serializers.CharField()
    version = serializers.CharField()
    url = serializers.URLField()

    def to_representation(self, instance: Prediction) -> dict[str, Any]:
        return {
            "prediction_id": instance.pk,
            "status": instance.status,
            "model": instance.version.model.name,
            "version": instance.version.tag,
            "url": _url(instance, self.context["request"]),
        }


def _error(prediction: Prediction, request: Request) -> dict[str, Any] | None:
    # What a member of staff may see takes a statement, which is spared where there is nothing to be shown.
    if not prediction.error:
        return None
    error = shown_error(prediction, with_inputs=may_see_inputs(prediction, request.user))
    return None if error is None else with_absolute_type(error, origin_of(request))


def origin_of(request: Request) -> str:
    return f"{request.scheme}://{request.get_host()}"


def _url(prediction: Prediction, request: Request) -> str:
    return f"{origin_of(request)}{_detail_path(get_script_prefix())}{prediction.pk}"


@cache
def _detail_path(_script_prefix: str) -> str:
    """The path of a prediction without its id."""
    return reverse("prediction-detail", kwargs={"pk": _ANY_ID}).removesuffix(str(_ANY_ID))
