"""Uploads of any size: opened here, sent in parts, submitted at POST /api/models/{model}/versions."""

from typing import IO, Any, cast
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers, viewsets
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from mlserve.errors import BadRequest, BadUpload
from mlserve.http.jsonbody import json_of
from mlserve.permissions import UPLOAD, require_permission
from registry.api.serializers import (
    DirectUploadSerializer,
    OpenUploadSerializer,
    PartAddressesSerializer,
    PartNumbersSerializer,
)
from registry.api.views import PUBLISH
from registry.models import DirectUpload
from registry.multipart.parts import ADDRESS_SECONDS
from registry.uploads import sender


class DirectUploadViewSet(viewsets.GenericViewSet[DirectUpload]):
    """Your own uploads: each is a file on its way to becoming a version."""

    token_scope = UPLOAD

    queryset = DirectUpload.objects.all()
    serializer_class = DirectUploadSerializer

    @extend_schema(request=OpenUploadSerializer, responses={201: DirectUploadSerializer})
    def create(self, request: Request) -> Response:
        """Open an upload. Then ask for the addresses of its parts, send them, and submit it as a version."""
        require_permission(request, PUBLISH)
        upload = sender.open_upload(request.user, **_validated(OpenUploadSerializer, request))
        body = document(upload, request)
        return Response(body, status=201, headers={"Location": body["url"]})

    @extend_schema(responses=DirectUploadSerializer)
    def retrieve(self, request: Request, upload: UUID) -> Response:
        """How far it is: the parts that arrived, then the steps of the inspection, then its report."""
        return Response(document(self._own(request, upload), request))

    @extend_schema(responses={204: OpenApiResponse(description="Abandoned; what had arrived is deleted.")})
    def destroy(self, request: Request, upload: UUID) -> Response:
        """Abandon an open upload."""
        sender.abandon(self._own(request, upload))
        return Response(status=204)

    @extend_schema(request=PartNumbersSerializer, responses=PartAddressesSerializer)
    def addresses(self, request: Request, upload: UUID) -> Response:
        """Where to PUT some of the parts. Each takes exactly the bytes named here; sending one again is fine."""
        own = self._own(request, upload)
        numbers = sorted(set(_validated(PartNumbersSerializer, request)["numbers"]))
        parts = [
            {"number": number, "url": url or _own_address(request, own, number),
             "size_bytes": own.staging.bytes_of(number)}
            for number, url in sender.part_addresses(own, numbers).items()
        ]  # fmt: skip
        return Response({"parts": parts, "expires_in_seconds": ADDRESS_SECONDS})

    @extend_schema(
        request={"application/octet-stream": OpenApiTypes.BINARY},
        responses={204: OpenApiResponse(description="The part is there.")},
    )
    def receive(self, request: Request, upload: UUID, number: int) -> Response:
        """Send one part to this server, where its own address was given for it."""
        own = self._own(request, upload)
        _require_length(request, own, number)
        # Read from Django's request: DRF would choose a parser by the content type and read all bytes into memory.
        sender.receive_part(own, number, cast(IO[bytes], request._request))
        return Response(status=204)

    def _own(self, request: Request, upload: UUID) -> DirectUpload:
        require_permission(request, PUBLISH)
        return sender.own_upload(request.user, upload)


def document(upload: DirectUpload, request: Request) -> dict[str, Any]:
    """The upload as JSON. Raises Unavailable when the storage does not say which parts arrived."""
    context = {"request": request, "arrived": sender.arrived_parts(upload)}
    return dict(DirectUploadSerializer(upload, context=context).data)


def _validated(kind: type[serializers.Serializer[dict[str, Any]]], request: Request) -> dict[str, Any]:
    """The JSON body's fields. Raises NotJson, or BadUpload with every field that is wrong."""
    serializer = kind(data=json_of(request))
    if not serializer.is_valid():
        raise BadUpload(" ".join(_sentences(serializer.errors)))
    return dict(serializer.validated_data)


def _sentences(errors: Any) -> list[str]:
    if isinstance(errors, dict):
        return [f"{name}: {sentence}" for name, part in errors.items() for sentence in _sentences(part)]
    if isinstance(errors, list):
        return [sentence for part in errors for sentence in _sentences(part)]
    return [str(errors)]


def _own_address(request: Request, upload: DirectUpload, number: int) -> str:
    return reverse("upload-part", kwargs={"upload": upload.pk, "number": number}, request=request)


def _require_length(request: Request, upload: DirectUpload, number: int) -> None:
    """Raise BadRequest for a body of another size than the part's, before anything is read."""
    length = request.META.get("CONTENT_LENGTH") or "0"
    expected = upload.staging.bytes_of(number)
    if 1 <= number <= upload.staging.part_count and length != str(expected):
        raise BadRequest(f"The body has {length} bytes; part {number} has {expected}. Send exactly that part.")
