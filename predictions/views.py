"""The prediction API."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import viewsets
from rest_framework.exceptions import NotAuthenticated
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response

from mlserve.errors import AlreadyEnded, BadParameter, NotFound
from mlserve.jsonbody import json_of
from mlserve.prefer import Preference, read_preference
from predictions.models import Prediction
from predictions.serializers import AcceptedSerializer, PredictionSerializer, prediction_json, prediction_url
from predictions.status import Status
from predictions.submission import Target, parse_outputs, resolve, submit
from predictions.transitions import PredictionQuerySet
from predictions.waiting import wait_until_ended

_PREFER = OpenApiParameter(
    "Prefer", str, OpenApiParameter.HEADER, description="`wait=10`: answer with the finished prediction (RFC 7240)."
)
_OUTPUTS = OpenApiParameter(
    "outputs", str, description="Comma-separated: predict (default), predict_proba, decision_function."
)


class NewestFirst(CursorPagination):
    """Pages by id, which is ordered by time: as fast on the last page as on the first."""

    ordering = "-id"
    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 500


class PredictionViewSet(viewsets.GenericViewSet[Prediction]):
    """Submit rows, read results, list and cancel."""

    queryset = Prediction.objects.all()
    serializer_class = PredictionSerializer
    pagination_class = NewestFirst

    def get_queryset(self) -> PredictionQuerySet:
        return Prediction.objects.select_related("version__model").defer(
            "inputs", *(f"version__{name}" for name in ("schema", "columns", "sample_rows", "golden_outputs", "report"))
        )

    @extend_schema(parameters=[_PREFER, _OUTPUTS], responses={202: AcceptedSerializer, 200: PredictionSerializer})
    def create(self, request: Request, model: str | None = None, tag: str | None = None) -> Response:
        """Predict one record or a list of records. 202 at once, or 200 when asked to wait and it was in time."""
        preference = preference_of(request)
        version = resolve(Target(model, tag), request.user)
        outputs = parse_outputs(request.query_params.get("outputs"))
        prediction = submit(version, json_of(request), outputs=outputs, user=request.user)
        if preference.wait_seconds and wait_until_ended(prediction.pk, preference.wait_seconds):
            prediction = self.get_queryset().get(pk=prediction.pk)
        return self._respond(prediction, preference, pending_status=202)

    @extend_schema(parameters=[_PREFER], responses=PredictionSerializer)
    def retrieve(self, request: Request, pk: UUID) -> Response:
        """The prediction as it is now; with `Prefer: wait` once it has ended or the time is up."""
        preference = preference_of(request)
        prediction = self._readable(pk)
        if not prediction.has_ended and preference.wait_seconds and wait_until_ended(pk, preference.wait_seconds):
            prediction = self._readable(pk)
        return self._respond(prediction, preference, pending_status=200)

    @extend_schema(
        parameters=[
            OpenApiParameter("model", str),
            OpenApiParameter("version", str),
            OpenApiParameter("status", str, enum=Status.values),
        ],
        responses=PredictionSerializer(many=True),
    )
    def list(self, request: Request) -> Response:
        """Your own predictions, newest first (staff: everybody's)."""
        if not (request.user.is_authenticated or settings.MLSERVE_ANONYMOUS_HISTORY):
            raise NotAuthenticated("Sign in to list your predictions. One prediction can be read by its id.")
        queryset = _filtered(self.get_queryset().listed_for(request.user), request)
        page = self.paginate_queryset(queryset) or []
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(request=None, responses=PredictionSerializer)
    def cancel(self, request: Request, pk: UUID) -> Response:
        """Take a queued prediction back. 409 once it runs or has ended."""
        prediction = self._readable(pk)
        if not Prediction.objects.cancel(pk, now=timezone.now()):
            state = self._readable(pk).status
            raise AlreadyEnded(f"The prediction is {state}; only a queued one can be canceled.")
        prediction = self._readable(pk)
        return Response(self.get_serializer(prediction).data)

    def _readable(self, pk: UUID) -> Prediction:
        prediction = self.get_queryset().readable_by(self.request.user).filter(pk=pk).first()
        if prediction is None:
            raise NotFound(f"There is no prediction {pk}, or it is not yours to see.")
        return prediction

    def _respond(self, prediction: Prediction, preference: Preference, *, pending_status: int) -> Response:
        headers = {"Vary": "Prefer"}
        if preference.applied:
            headers["Preference-Applied"] = preference.applied
        if prediction.has_ended:
            return Response(self.get_serializer(prediction).data, headers=headers)
        headers["Retry-After"] = "1"
        if pending_status == 200:
            return Response(self.get_serializer(prediction).data, headers=headers)
        headers["Location"] = prediction_url(prediction, self.request)
        return Response(prediction_json(prediction, self.request), status=pending_status, headers=headers)


def preference_of(request: Request | HttpRequest) -> Preference:
    return read_preference(request.headers.get("Prefer"), max_wait_seconds=settings.MLSERVE_MAX_WAIT)


def _filtered(queryset: PredictionQuerySet, request: Request) -> Any:
    """The listing narrowed by ?model=, ?version= and ?status=."""
    asked = request.query_params
    if status := asked.get("status"):
        if status not in Status.values:
            raise BadParameter(f"status is {status!r}; allowed is {', '.join(Status.values)}.")
        queryset = queryset.filter(status=status)
    if model := asked.get("model"):
        queryset = queryset.filter(version__model__name=model)
    if tag := asked.get("version"):
        queryset = queryset.filter(version__tag=tag)
    return queryset
