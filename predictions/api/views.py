"""The prediction API."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpResponse, HttpResponseBase
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import viewsets
from rest_framework.exceptions import NotAuthenticated
from rest_framework.pagination import CursorPagination
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from mlserve.access.audit import log_action
from mlserve.errors import AlreadyEnded, BadParameter, NotFound
from mlserve.http.prefer import Preference, read_preference
from mlserve.http.renderers import CsvRenderer, OrjsonRenderer, json_response
from mlserve.permissions import PREDICT, require_permission
from predictions.api.csv_rows import MEDIA_TYPE as CSV
from predictions.api.csv_rows import CsvParser, csv_of, payload_of
from predictions.api.serializers import ID_OR_NOTHING, AcceptedSerializer, PredictionSerializer
from predictions.models import Prediction, PredictionQuerySet
from predictions.serving.in_place import approaching
from predictions.serving.submission import Target, parse_outputs, parse_unknown, resolve, submit
from predictions.status import Status
from predictions.store.listing import Page, listing_for
from predictions.store.reading import find_readable
from predictions.store.waiting import wait_until_ended

# For the predictions of other accounts. One made without an account may be canceled by every holder of its id.
CANCEL = "predictions.change_prediction"
_PREFER = OpenApiParameter(
    "Prefer", str, OpenApiParameter.HEADER, description="`wait=10`: answer with the finished prediction (RFC 7240)."
)
_OUTPUTS = OpenApiParameter(
    "outputs",
    {
        "type": "string",
        "pattern": r"^(predict|predict_proba|decision_function)(,(predict|predict_proba|decision_function))*$",
    },
    description="Comma-separated: predict (default), predict_proba, decision_function.",
)
_UNKNOWN = OpenApiParameter(
    "unknown",
    str,
    enum=["ignore"],
    description="`ignore`: columns that the model does not have are left out, each with a warning beside the result.",
)
# The columns of a record depend on the model; mlserve/site/openapi.py adds an operation with them for each live one.
_ROWS = {
    "anyOf": [{"type": "object"}, {"type": "array", "items": {"type": "object"}, "minItems": 1}],
}


# Of a prediction that has a result.
_JSON, _CSV = OrjsonRenderer.media_type, CsvRenderer.media_type
_WHOLE = {(200, _JSON): PredictionSerializer, (200, _CSV): OpenApiTypes.STR}
_TEXT_WITHOUT_NUL = {"type": "string", "pattern": r"^[^\u0000]*$"}


class NewestFirst(CursorPagination):
    """Pages of a `Listing`, followed by `next` alone. The cursor is an id: the page holds older predictions."""

    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 500

    base_url: str

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        """The ids of the page. Raises BadParameter."""
        asked = ", ".join(request.query_params.getlist(self.cursor_query_param))
        try:
            older_than = UUID(asked) if asked else None
        except ValueError as error:
            raise BadParameter(f"cursor is {asked!r}. Follow `next` as it is, or begin without a cursor.") from error
        page: Page = queryset.page(self.get_page_size(request), older_than=older_than)
        self.base_url, self._next = request.build_absolute_uri(), page.next
        return page.ids

    def get_page_size(self, request: Request) -> int:
        """At most `max_page_size`. Raises BadParameter."""
        asked = ", ".join(request.query_params.getlist(self.page_size_query_param, [str(self.page_size)]))
        if not (asked.isascii() and asked.isdecimal() and int(asked[:9]) > 0):
            raise BadParameter(f"page_size is {asked!r}; give a whole number from 1 on.")
        return min(int(asked[:9]), self.max_page_size)

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """For OpenAPI."""
        return [
            {"name": "cursor", "in": "query", "schema": ID_OR_NOTHING,
             "description": "Only predictions before this one; `next` has it."},
            {"name": "page_size", "in": "query", "schema": {"type": "integer", "minimum": 1, "default": self.page_size},
             "description": f"At most {self.max_page_size} are given."},
        ]  # fmt: skip

    def get_next_link(self) -> str | None:
        return replace_query_param(self.base_url, self.cursor_query_param, str(self._next)) if self._next else None

    def get_previous_link(self) -> None:
        """None: the listing grows at its beginning, so that no page has a fixed one before it."""


class PredictionViewSet(viewsets.GenericViewSet[Prediction]):
    """Submit rows, read results, list and cancel."""

    token_scope = PREDICT

    queryset = Prediction.objects.all()
    serializer_class = PredictionSerializer
    pagination_class = NewestFirst

    def get_parsers(self) -> list[BaseParser]:
        return [*super().get_parsers(), CsvParser()]

    def get_renderers(self) -> list[BaseRenderer]:
        return [*super().get_renderers(), *([CsvRenderer()] if self.action in ("create", "retrieve") else [])]

    def get_queryset(self) -> PredictionQuerySet:
        return Prediction.objects.select_related("version__model").defer(
            "inputs",
            *(
                f"version__{name}"
                for name in ("schema", "columns", "parameters", "sample_rows", "golden_outputs", "report")
            ),
        )

    @extend_schema(
        parameters=[_PREFER, _OUTPUTS, _UNKNOWN],
        request={_JSON: _ROWS},  # generators of clients warn of text/csv, which docs/predictions.md explains
        responses={(202, _JSON): AcceptedSerializer, **_WHOLE},
    )
    def create(self, request: Request, model: str | None = None, tag: str | None = None) -> HttpResponseBase:
        """Predict one record or a list of records. 202 at once, or 200 with `Prefer: wait` if it ended in time."""
        preference = preference_of(request)
        version = resolve(Target(model, tag), request.user)
        payload = payload_of(request, version.record_schema)
        with approaching():  # only now, because a body may take long to arrive
            prediction = submit(
                version,
                payload,
                outputs=parse_outputs(request.query_params.get("outputs")),
                user=request.user,
                wait_seconds=preference.wait_seconds or 0,
                ignores_unknown=parse_unknown(request.query_params.get("unknown")),
            )
            return self._respond(prediction, preference, is_accepted=not prediction.has_ended)

    @extend_schema(parameters=[_PREFER], responses=_WHOLE)
    def retrieve(self, request: Request, pk: UUID) -> HttpResponseBase:
        """The prediction as it is now; with `Prefer: wait` as it is when it has ended or the time is up."""
        preference = preference_of(request)
        prediction = self._readable(pk)
        if not prediction.has_ended and preference.wait_seconds and wait_until_ended(pk, preference.wait_seconds):
            prediction = self._readable(pk)
        return self._respond(prediction, preference)

    @extend_schema(
        parameters=[
            OpenApiParameter("model", _TEXT_WITHOUT_NUL),
            OpenApiParameter("version", _TEXT_WITHOUT_NUL),
            OpenApiParameter("status", str, enum=Status.values),
        ],
        responses=PredictionSerializer(many=True),
    )
    def list(self, request: Request) -> Response:
        """Your own predictions, newest first (staff: all)."""
        if not (request.user.is_authenticated or settings.MLSERVE_ANONYMOUS_HISTORY):
            raise NotAuthenticated("Sign in to list your predictions. One prediction can be read by its id.")
        listing = listing_for(request.user, **_filters(request))
        ids: Any = self.paginate_queryset(listing)  # type: ignore[arg-type]  # NewestFirst pages through listings
        predictions = self.get_queryset().filter(pk__in=ids).order_by("-pk")
        return self.get_paginated_response(self.get_serializer(predictions, many=True).data)

    @extend_schema(request=None, responses=PredictionSerializer)
    def cancel(self, request: Request, pk: UUID) -> HttpResponseBase:
        """Cancel a queued prediction of yours. 409 once it runs or has ended."""
        is_others = self._readable(pk).owner_id not in (None, request.user.pk)
        if is_others:
            require_permission(request, CANCEL)
        if not Prediction.objects.cancel(pk, now=timezone.now()):
            state = self._readable(pk).status
            raise AlreadyEnded(f"The prediction is {state}; only a queued one can be canceled.")
        prediction = self._readable(pk)
        if is_others:
            log_action(request.user, prediction, "Canceled over the API.")
        return json_response(request, self.get_serializer(prediction).data)

    def _readable(self, pk: UUID) -> Prediction:
        prediction = find_readable(pk, self.request.user)
        if prediction is None:
            raise NotFound(f"There is no prediction {pk}, or it is not yours to see.")
        return prediction

    def _respond(
        self, prediction: Prediction, preference: Preference, *, is_accepted: bool = False
    ) -> HttpResponseBase:
        """The whole object or its result as CSV, or the 202 of a submission that `is_accepted` and has not ended."""
        headers = {"Vary": "Accept, Cookie, Prefer"}
        if preference.applied:
            headers["Preference-Applied"] = preference.applied
        if self.request.accepted_renderer.format == CsvRenderer.format and prediction.result is not None:
            return HttpResponse(csv_of(prediction), content_type=CSV, headers=headers)
        serializer_class = AcceptedSerializer if is_accepted else PredictionSerializer
        body = serializer_class(prediction, context={"request": self.request}).data
        if not prediction.has_ended:
            headers["Retry-After"] = "1"
        if is_accepted:
            headers["Location"] = body["url"]
        return json_response(self.request, body, status=202 if is_accepted else 200, headers=headers)


def preference_of(request: Request) -> Preference:
    return read_preference(request.headers.get("Prefer"), max_wait_seconds=settings.MLSERVE_MAX_WAIT)


def _filters(request: Request) -> dict[str, str | None]:
    """?model=, ?version= and ?status= for a listing."""
    asked = request.query_params
    status, model, tag = (asked.get(name) or None for name in ("status", "model", "version"))
    if status is not None and status not in Status.values:
        raise BadParameter(f"status is {status!r}; allowed is {', '.join(Status.values)}.")
    return {"model": model, "tag": tag, "status": status}
