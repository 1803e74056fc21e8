"""The registry's part of the API: list models and versions, upload, promote, roll back, retire."""

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, viewsets
from rest_framework.decorators import action
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from mlserve.access.audit import log_action
from mlserve.errors import NotFound
from mlserve.http.renderers import OrjsonRenderer
from mlserve.permissions import require_permission
from registry.api.serializers import (
    DirectUploadSerializer,
    ModelSerializer,
    RetirementSerializer,
    TagSerializer,
    VersionDetailSerializer,
    VersionSerializer,
    VersionUploadSerializer,
)
from registry.inspection.slots import inspect_in_request
from registry.inspection.version_request import VersionRequest, version_request
from registry.models import Model, ModelQuerySet, ModelVersion
from registry.publishing.publish import log_published, promote, publish, retire, rollback
from registry.schema.long_lists import without_long_lists
from registry.uploads.incoming import MAX_SMALL_FILE_BYTES, received
from registry.uploads.sender import own_upload, submit_upload

PUBLISH, PROMOTE = "registry.add_modelversion", "registry.change_modelversion"
CHANGE_MODEL = "registry.change_model"
ALLOW_OTHER_VERSIONS = "registry.allow_other_versions"
_SMALL_FILES = ("schema", "sample", "expected", "form")


@extend_schema_view(
    list=extend_schema(summary="List the models that you may use, each with its live version"),
    retrieve=extend_schema(summary="Read one model, with its live version"),
)
class ModelViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Model]):
    """The models that you may use, each with its live version."""

    token_scope = None  # any token may read; actions that change something require their own permission

    queryset = Model.objects.all()
    serializer_class = ModelSerializer
    lookup_field = "name"
    lookup_url_kwarg = "model"

    def get_queryset(self) -> ModelQuerySet:
        return Model.objects.visible_to(self.request.user).with_live_versions().with_default()

    @extend_schema(responses=OpenApiTypes.OBJECT, description="JSON Schema 2020-12 of one record of the live version.")
    @action(detail=True)
    def record_schema(self, request: Request, model: str) -> Response:
        version = self.get_object().versions.live().without_bulk().first()
        if version is None:
            raise NotFound(f"The model {model!r} has no live version, so there is no schema yet.")
        return _schema_response(request, version)

    @extend_schema(request=TagSerializer, responses=VersionSerializer)
    @action(detail=True, methods=["post"], serializer_class=TagSerializer)
    def promote(self, request: Request, model: str) -> Response:
        """Make a version live, at once and in every process."""
        require_permission(request, PROMOTE)
        self.get_object()
        serializer = TagSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        version = promote(model, serializer.validated_data["tag"], by=request.user.get_username())
        log_action(request.user, version, "Promoted over the API.")
        return Response(VersionSerializer(version, context=self.get_serializer_context()).data)

    @extend_schema(request=None, responses=VersionSerializer)
    @action(detail=True, methods=["post"])
    def rollback(self, request: Request, model: str) -> Response:
        """Make live what the current version replaced."""
        require_permission(request, PROMOTE)
        self.get_object()
        version = rollback(model, by=request.user.get_username())
        log_action(request.user, version, "Live again after a rollback over the API.")
        return Response(VersionSerializer(version, context=self.get_serializer_context()).data)

    @extend_schema(request=RetirementSerializer, responses=VersionSerializer)
    @action(detail=True, methods=["post"], serializer_class=RetirementSerializer)
    def retire(self, request: Request, model: str) -> Response:
        """Let the live version serve no more, without another one in its place."""
        require_permission(request, PROMOTE)
        self.get_object()
        serializer = RetirementSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        version = retire(model, serializer.validated_data.get("tag"), by=request.user.get_username())
        log_action(request.user, version, "Retired over the API.")
        return Response(VersionSerializer(version, context=self.get_serializer_context()).data)


@extend_schema_view(
    list=extend_schema(summary="List the versions of a model, newest first"),
    retrieve=extend_schema(summary="Read one version, with its schema and the report of its inspection"),
)
class VersionViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[ModelVersion]):
    """The versions of a model, newest first."""

    token_scope = None

    queryset = ModelVersion.objects.all()
    serializer_class = VersionSerializer
    parser_classes = (MultiPartParser,)
    lookup_field = "tag"

    def get_queryset(self) -> Any:
        visible = Model.objects.visible_to(self.request.user)
        model = get_object_or_404(visible, name=self.kwargs["model"])
        return model.versions.select_related("model").with_open_incidents()

    def get_serializer_class(self) -> type[VersionSerializer]:
        return VersionDetailSerializer if self.action == "retrieve" else VersionSerializer

    @extend_schema(responses=OpenApiTypes.OBJECT, description="JSON Schema 2020-12 of one record of this version.")
    @action(detail=True)
    def record_schema(self, request: Request, model: str, tag: str) -> Response:
        return _schema_response(request, self.get_object())

    @extend_schema(
        request={"multipart/form-data": VersionUploadSerializer},
        responses={201: VersionDetailSerializer, 202: DirectUploadSerializer},
    )
    def create(self, request: Request, model: str) -> Response:
        """Inspect, store and register an artifact. 201 when it is new, 200 when the tag holds these bytes already.

        With `upload` instead of `artifact`: 202, and a worker does it.
        """
        require_permission(request, PUBLISH)
        serializer = VersionUploadSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        data = serializer.validated_data
        if data["promote"]:
            require_permission(request, PROMOTE)
        if data["allow_other_versions"]:
            require_permission(request, ALLOW_OTHER_VERSIONS)
        _require_may_change(request, model, data)
        files = {name: data.get(name) for name in ("artifact", *_SMALL_FILES)}
        most_bytes = MAX_SMALL_FILE_BYTES if "upload" in data else None
        with received(files, most_bytes=most_bytes) as paths:
            version_requested = version_request({**data, "model": model}, paths)
            if "upload" in data:
                return self._queue(request, version_requested, data)
            published = publish(
                paths["artifact"], version_requested, by=request.user.get_username(), inspect=inspect_in_request
            )
        log_published(request.user, published, version_requested, how="Uploaded over the API")
        body = VersionDetailSerializer(published.version, context=self.get_serializer_context()).data
        return Response(body, status=201 if published.created else 200, headers={"Location": body["url"]})

    def _queue(self, request: Request, version_requested: VersionRequest, data: dict[str, Any]) -> Response:
        upload = submit_upload(
            own_upload(request.user, data["upload"]), version_requested, sha256=data["sha256"].lower()
        )
        body = DirectUploadSerializer(upload, context=self.get_serializer_context()).data
        return Response(body, status=202, headers={"Location": body["url"]})


def _schema_response(request: Request, version: ModelVersion) -> Response:
    """The whole schema; in the browsable API without its long lists, of which a browser would make a slow page."""
    schema = version.ordered_schema()
    is_page = request.accepted_renderer.format != OrjsonRenderer.format
    return Response(without_long_lists(schema, f"{request.path}?format=json") if is_page else schema)


def _require_may_change(request: Request, model: str, data: dict[str, Any]) -> None:
    """An upload that changes an existing model needs the same permission as in the admin."""
    if data["title"] is None and data["is_public"] is None:
        return
    if Model.objects.filter(name=model).exists():
        require_permission(request, CHANGE_MODEL)
