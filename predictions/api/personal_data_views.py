"""The API of personal data: export or erase the predictions that a token or an account has made."""

from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.http import HttpResponseBase, StreamingHttpResponse
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, inline_serializer
from rest_framework import serializers, viewsets
from rest_framework.exceptions import NotAuthenticated
from rest_framework.request import Request

from mlserve.access.audit import log_action
from mlserve.errors import BadParameter, NotFound
from mlserve.http.renderers import json_response
from mlserve.permissions import PREDICT, may, token_id_of
from predictions.api.serializers import ID_OR_NOTHING, origin_of
from predictions.store.personal_data import Whose, erase, export, of_token

MEDIA_TYPE = "application/x-ndjson"
# API Gateway and most proxies end a request after half a minute.
_ERASE_SECONDS = 15.0
_FROM_ONE = {"type": "integer", "minimum": 1, "maximum": 2**63 - 1}
_TOKEN = OpenApiParameter(
    "token", _FROM_ONE, description="The id of a token: of one's own, or of any account for staff."
)
_LIMIT = OpenApiParameter("limit", _FROM_ONE, description="At most so many.")
_CURSOR = OpenApiParameter("cursor", ID_OR_NOTHING, description="Only predictions before this one.")


class PersonalDataViewSet(viewsets.GenericViewSet[Any]):
    """With a token: the predictions made with it. Signed in: all of the account, with its tokens or without."""

    token_scope = PREDICT
    pagination_class = None

    # Generators of clients know no such media type, and leave out an operation that has it.
    @extend_schema(
        parameters=[_TOKEN, _LIMIT, _CURSOR],
        responses={200: OpenApiResponse(description=f"JSON lines (`{MEDIA_TYPE}`), one for each prediction.")},
    )
    def export(self, request: Request) -> HttpResponseBase:
        """All that is stored of your predictions, newest first: a line of JSON for each."""
        whose = _whose(request, "predictions.view_inputs")
        limit = request.query_params.getlist("limit")
        most = _number(", ".join(limit), "limit") if limit else None
        lines = export(whose, older_than=_cursor(request), most=most, origin=origin_of(request))
        _note(request, whose, "Exported predictions")
        return StreamingHttpResponse(lines, content_type=MEDIA_TYPE)

    @extend_schema(
        request=None,
        parameters=[_TOKEN],
        responses=inline_serializer("Erased", {
            "erased": serializers.IntegerField(),
            "running": serializers.IntegerField(help_text="Being predicted at this moment, and left."),
            "complete": serializers.BooleanField(help_text="False: ask again to erase the rest."),
        }),
    )  # fmt: skip
    def erase(self, request: Request) -> HttpResponseBase:
        """Delete all your predictions for good, with their inputs and results. What is queued is canceled first."""
        whose = _whose(request, "predictions.delete_prediction")
        erased = erase(whose, seconds=_ERASE_SECONDS)
        _note(request, whose, f"Erased {erased.count} predictions")
        body = {"erased": erased.count, "running": erased.running, "complete": erased.is_complete}
        return json_response(request, body, headers={} if erased.is_complete else {"Retry-After": "1"})


def _whose(request: Request, permission_for_others: str) -> Whose:
    """Raises NotAuthenticated, BadParameter, or NotFound: the same for a token that is absent and for another's."""
    user: Any = request.user
    if not user.is_authenticated:
        raise NotAuthenticated("Send an API token, or sign in: only then is it known which predictions are yours.")
    asked, own = request.query_params.get("token"), token_id_of(user)
    if asked is None:
        return Whose(User.objects.get(pk=user.pk), own)
    whose = of_token(_number(asked, "token"))
    may_all = user.is_staff and may(user, permission_for_others)
    is_own = whose.owner.pk == user.pk and own in (None, whose.token_id)
    if not (is_own or may_all):
        raise NotFound(f"There is no token {asked}, or it is not yours to see.")
    return whose


def _note(request: Request, whose: Whose, what: str) -> None:
    made = "" if whose.token_id is None else f" made with the token {whose.token_id}"
    log_action(request.user, whose.owner, f"{what}{made}.")


def _cursor(request: Request) -> UUID | None:
    asked = ", ".join(request.query_params.getlist("cursor"))
    try:
        return UUID(asked) if asked else None
    except ValueError as error:
        raise BadParameter(f"cursor is {asked!r}. Give the id of the last prediction that you have.") from error


def _number(text: str, name: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:20]) < 2**63):
        raise BadParameter(f"{name} is {text[:50]!r}; give a whole number from 1 on.")
    return int(text)
