"""A prediction as JSON: one object, the same everywhere, and its description for OpenAPI."""

from functools import cache
from typing import Any
from uuid import UUID

import orjson
from django.urls import get_script_prefix, reverse
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request

from mlserve.http.problems import with_absolute_type
from predictions.models import Prediction, queue_seconds
from predictions.status import Status
from predictions.store.reading import may_see_inputs, shown_error

_ANY_ID = UUID(int=0)
# A cursor in OpenAPI's words: an empty one begins at the newest.
ID_OR_NOTHING = {"anyOf": [{"type": "string", "format": "uuid"}, {"type": "string", "maxLength": 0}]}


class ResultSerializer(serializers.Serializer[Any]):
    """One answer for each row. Documents of single models say of which type."""

    predictions = serializers.ListField(help_text="Of several outputs, a list for each row.")
    probabilities = serializers.ListField(allow_null=True, help_text="By class; null when they were not asked for.")
    decision_function = serializers.ListField(required=False, help_text="Only when it was asked for.")


class RowWarningSerializer(serializers.Serializer[Any]):
    row = serializers.IntegerField(min_value=0, help_text="Rows count from 0.")
    column = serializers.CharField()
    detail = serializers.CharField()


class MetricsSerializer(serializers.Serializer[Any]):
    queue_seconds = serializers.FloatField(allow_null=True)
    predict_seconds = serializers.FloatField(allow_null=True)


@extend_schema_field({"anyOf": [{"$ref": "#/components/schemas/Problem"}, {"type": "null"}]})
class _ProblemField(serializers.DictField):
    """A problem object (RFC 9457), which mlserve/http/openapi_responses.py describes."""


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
    result = ResultSerializer(allow_null=True)
    warnings = RowWarningSerializer(many=True)
    error = _ProblemField()
    metrics = MetricsSerializer()
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
