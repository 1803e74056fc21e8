"""Query parameters that an address does not have are refused: a mistyped one would silently change nothing.

What an address has is what it describes for OpenAPI: the parameters of its `@extend_schema` and of its pages.
"""

from collections.abc import Callable, Collection
from difflib import get_close_matches
from typing import Any

from django.http import QueryDict
from drf_spectacular.utils import OpenApiParameter
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.settings import api_settings

from mlserve.errors import BadParameter

_MOST_NAMED, _MOST_CHARACTERS = 5, 50
_LIKE = 0.6


class KnownParameters(BasePermission):
    """DRF's permission of every view."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Raises BadParameter.

        Not where the browsable API asks which forms it may show: these are of other methods than the request.
        """
        if request.query_params and request.method == request._request.method:
            action: str = getattr(view, "action", None) or "metadata"  # none: the method is refused afterwards
            if action != "metadata":
                names = _names(view, getattr(view, action), request) | _names_of_pages(view, action)
                require_known(request.query_params, names)
        return True


def require_known(query: QueryDict, names: Collection[str]) -> None:
    """Raise BadParameter unless each parameter of `query` is one of `names`, or `format`, which DRF reads itself."""
    unknown = [name for name in query if name not in names and name != api_settings.URL_FORMAT_OVERRIDE]
    if not unknown:
        return
    sentences = [_sentence(name[:_MOST_CHARACTERS], names) for name in unknown[:_MOST_NAMED]]
    allowed = f"It takes {', '.join(sorted(names))}." if names else "It takes none."
    raise BadParameter(f"This address has no query parameter {'; no '.join(sentences)}. {allowed}")


def _sentence(name: str, names: Collection[str]) -> str:
    folded = {each.lower(): each for each in names}
    near = get_close_matches(name.lower(), folded, 1, _LIKE)
    return f"{name!r}" + (f" (did you mean {folded[near[0]]}?)" if near else "")


# By the function of an action, which never changes.
_described: dict[Callable[..., Any], frozenset[str]] = {}


def _names(view: Any, method: Any, request: Request) -> frozenset[str]:
    """Those of an action's `@extend_schema`."""
    function = method.__func__
    if function not in _described:
        schema_class = getattr(function, "kwargs", {}).get("schema")
        parameters: list[Any] = []
        if schema_class is not None:
            schema = schema_class()
            schema.view, schema.method = view, request.method
            parameters = schema.get_override_parameters()
        _described[function] = frozenset(each.name for each in parameters if each.location == OpenApiParameter.QUERY)
    return _described[function]


def _names_of_pages(view: Any, action: str) -> frozenset[str]:
    paginator = getattr(view, "paginator", None) if action == "list" else None
    described = paginator.get_schema_operation_parameters(view) if paginator else []
    return frozenset(each["name"] for each in described)
