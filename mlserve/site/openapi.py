"""OpenAPI: beside the general operations one per live model, with its real record schema and an example."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.urls import get_script_prefix
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.request import Request

from mlserve.http.query_parameters import require_known
from registry.models import ModelVersion
from registry.schema.long_lists import without_long_lists


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
    """OpenAPI as JSON or YAML. Raises BadParameter."""
    require_known(request.GET, ("lang", "model"))
    return _views()[0](request)


def docs(request: HttpRequest) -> HttpResponseBase:
    """Swagger UI. Raises BadParameter."""
    require_known(request.GET, ("lang", "model", "script"))
    return _views()[1](request)


@cache
def _views() -> tuple[Callable[..., HttpResponseBase], ...]:
    """drf-spectacular's views, imported late because their module loads Django's test client."""
    from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

    # The split view loads its script from an address of its own; our policy forbids inline scripts.
    return SpectacularAPIView.as_view(), SpectacularSwaggerSplitView.as_view(url_name="schema")


def add_live_models(result: dict[str, Any], request: Request | None, **_: Any) -> dict[str, Any]:
    """drf-spectacular's postprocessing hook: adds `/api/models/<name>/predict` for each model the reader may use.

    Without a request (Django's system checks) only the general operations: there may be no tables yet.
    """
    if request is None:
        return result
    if (prefix := get_script_prefix().rstrip("/")) != "":
        result["servers"] = [{"url": prefix}]  # the paths are those below it
    versions = ModelVersion.objects.live().without_bulk().select_related("model").order_by("model__name")
    if not request.user.is_authenticated:
        versions = versions.filter(model__is_public=True)
    schemas = result.setdefault("components", {}).setdefault("schemas", {})
    for version in versions:
        name = f"{version.model.name}.record"
        cut = without_long_lists(version.ordered_schema(), f"/api/models/{version.model.name}/schema")
        schemas[name] = {key: value for key, value in cut.items() if key != "$schema"}
        schemas[name].setdefault("title", f"One record for {version.model.label}")
        result["paths"][f"/api/models/{version.model.name}/predict"] = {"post": _operation(version, name)}
    return result


def _operation(version: ModelVersion, schema_name: str) -> dict[str, Any]:
    record = {"$ref": f"#/components/schemas/{schema_name}"}
    example = version.sample_rows[0] if version.sample_rows else version.record_schema.example()
    return {
        "operationId": f"predict_{version.model.name}",
        "summary": f"Predict with {version.model.label} (live version {version.tag})",
        "description": version.model.description,
        "tags": [version.model.name],
        "parameters": [
            {"name": "outputs", "in": "query", "schema": _outputs_schema(version.outputs),
             "example": ",".join(version.outputs), "description": "Comma-separated: " + ", ".join(version.outputs)},
            {"name": "Prefer", "in": "header", "schema": {"type": "string"}, "example": "wait=10",
             "description": "Answer with the finished prediction (RFC 7240)."},
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"anyOf": [record, {"type": "array", "items": record, "minItems": 1}]},
                    "examples": {"one": {"summary": "One record", "value": example},
                                 "several": {"summary": "Several records", "value": [example, example]}},
                }
            },
        },
        "responses": {
            "200": _response("The finished prediction.", "Prediction"),
            "202": _response("Accepted; poll the url.", "Accepted"),
        },
    }  # fmt: skip


def _outputs_schema(outputs: Sequence[str]) -> dict[str, Any]:
    one = f"({'|'.join(outputs)})"
    return {"type": "string", "pattern": f"^{one}(,{one})*$"}


def _response(description: str, schema: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"description": description, "content": content}
