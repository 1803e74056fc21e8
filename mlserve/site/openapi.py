"""OpenAPI: beside the general operations one per live model, with its real record schema, its result and an example.

Above some dozens of models the whole document only points to those of single models, at `?model=`.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import quote, urlencode

from django.http import HttpRequest, HttpResponseBase
from django.urls import get_script_prefix
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.request import Request
from rest_framework.response import Response

from mlserve.http.query_parameters import require_known
from mlserve.http.renderers import OrjsonRenderer
from mlserve.site.identifiers import identifiers
from mlserve.site.model_documents import Described, components_of, operation_of
from predictions.serving.submission import Target, resolve
from registry.models import Model, ModelVersion
from registry.pipelines.result_schema import result_schema
from registry.schema.long_lists import without_long_lists

# What one document shows; a megabyte is more than people read and generators take.
_MOST_MODELS, _MOST_COLUMNS = 50, 5_000
_MOST_POINTERS = 1_000
_GENERAL = "/api/models/{model}/predict"
_FIRST_SENTENCE = re.compile(r"(.+?[.;])(?:\s|$)", re.DOTALL)


class _BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Describes how a token is sent; drf-spectacular finds this class by its base."""

    target_class = "mlserve.access.tokens.ApiTokenAuthentication"
    name = "tokenAuth"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "mls_…"}


class _BasicScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "mlserve.access.tokens.PasswordAuthentication"
    name = "basicAuth"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "http", "scheme": "basic"}


def schema(request: HttpRequest) -> HttpResponseBase:
    """OpenAPI as JSON or YAML; with `?model=` of that model only. Raises BadParameter."""
    require_known(request.GET, ("lang", "model"))
    response: HttpResponseBase = _views()[0].as_view()(request)
    return response


def docs(request: HttpRequest) -> HttpResponseBase:
    """Swagger UI, of what `schema` gives. Raises BadParameter."""
    require_known(request.GET, ("lang", "model", "script"))
    model = request.GET.get("model")
    # Both addresses are neighbours, whatever a proxy puts before them.
    url = f"schema?{urlencode({'model': model})}" if model else "schema"
    response: HttpResponseBase = _views()[1].as_view(url=url)(request)
    return response


@cache
def _views() -> tuple[Any, Any]:
    """drf-spectacular's views, imported late because their module loads Django's test client."""
    from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

    class SchemaView(SpectacularAPIView):
        def handle_exception(self, exc: Exception) -> Response:
            """A problem is JSON, whatever the document would have been written in."""
            self.request.accepted_renderer, self.request.accepted_media_type = OrjsonRenderer(), "application/json"
            return super().handle_exception(exc)

    # The split view loads its script from an address of its own; our policy forbids inline scripts.
    return SchemaView, SpectacularSwaggerSplitView


def add_summaries(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """drf-spectacular's postprocessing hook: the first sentence of a description is the operation's summary."""
    for operations in result["paths"].values():
        for operation in operations.values():
            description = " ".join(operation.get("description", "").split())
            sentence = _FIRST_SENTENCE.match(description)
            summary = operation.setdefault("summary", (sentence[1] if sentence else description).rstrip(".:;"))
            if description.rstrip(".") == summary:
                operation.pop("description", None)
    return result


def add_live_models(result: dict[str, Any], request: Request | None, **_: Any) -> dict[str, Any]:
    """drf-spectacular's postprocessing hook: adds `/api/models/<name>/predict` for each model the reader may use.

    Without a request (Django's system checks) only the general operations: there may be no tables yet. Raises NotFound
    and NoLiveVersion for the model that is asked for.
    """
    if request is None:
        return result
    if (prefix := get_script_prefix().rstrip("/")) != "":
        result["servers"] = [{"url": prefix}]  # the paths are those below it
    visible = ModelVersion.objects.live().defer("report").select_related("model")
    if not request.user.is_authenticated:
        visible = visible.filter(model__is_public=True)
    # Of all models in the order of registration, so that neither a new model nor one that is hidden or retired renames
    # what was generated for another one.
    names = identifiers(Model.objects.order_by("pk").values_list("name", flat=True))
    asked = request.query_params.get("model")
    if asked:
        version = resolve(Target(asked), request.user)
        _add(result, version, names.get(asked) or identifiers([asked])[asked])
        return result
    listed = list(visible.order_by("model_id").values_list("model__name", flat=True))
    shown = list(visible.order_by("model__name")) if len(listed) <= _MOST_MODELS else []
    if len(listed) > _MOST_MODELS or sum(len(version.columns) for version in shown) > _MOST_COLUMNS:
        _point_to(result, listed, prefix)
        return result
    for version in shown:
        if version.model.name in names:  # else it was promoted a moment ago
            _add(result, version, names[version.model.name])
    return result


def _point_to(result: dict[str, Any], names: list[str], prefix: str) -> None:
    """Where the documents of single models are."""
    result["info"]["description"] += (
        f"\n\nThis service has {len(names):,} models, too many for one document: `{prefix}/api/schema?model=NAME` "
        f"(and `{prefix}/api/docs?model=NAME`) has the operation of one, with its record and its result. "
        f"`{prefix}/api/models` lists the names."
    )
    result["x-model-documents"] = {
        name: f"{prefix}/api/schema?model={quote(name)}" for name in sorted(names)[:_MOST_POINTERS]
    }


def _add(result: dict[str, Any], version: ModelVersion, identifier: str) -> None:
    model = _described(version)
    schemas: dict[str, Any] = result.setdefault("components", {}).setdefault("schemas", {})
    schemas.update(components_of(model, identifier, schemas["Prediction"]))
    operation = operation_of(model, identifier, _general_parameters(result))
    ids = {each.get("operationId") for operations in result["paths"].values() for each in operations.values()}
    if operation["operationId"] in ids:  # a model that is called `list`
        operation["operationId"] += "_model"
    result["paths"][f"/api/models/{model.name}/predict"] = {"post": operation}


def _general_parameters(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = result["paths"][_GENERAL]["post"].get("parameters", [])
    return parameters


def _described(version: ModelVersion) -> Described:
    model = version.model
    return Described(
        name=model.name,
        label=model.label,
        description=model.description,
        tag=version.tag,
        outputs=version.outputs,
        record=without_long_lists(version.ordered_schema(), f"/api/models/{model.name}/schema"),
        result=result_schema(version.outputs, version.class_labels, version.golden_outputs),
        example=version.example(),
    )
