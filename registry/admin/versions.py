"""The registry in the admin: upload with its report, promote, roll back, retire, compare, mark the default model."""

from collections.abc import Iterable
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.helpers import AdminForm
from django.core.exceptions import PermissionDenied
from django.db import models
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from mlserve.errors import NotFound
from mlserve.units import size_text
from registry.admin.comparison import shown, tables_of
from registry.admin.deletion import deletion_view, why_kept
from registry.admin.forms import (
    PROMOTE,
    ComparisonForm,
    DescriptionForm,
    UploadForm,
    has_permission,
    on_this_page,
)
from registry.admin.incidents import incidents_of, trust_view
from registry.admin.moves import earlier, move_view
from registry.admin.rows import Unchanging, confirm, page, row_or_404
from registry.admin.uploads import DirectUploadAdmin, allow_sending
from registry.inspection.report import CHECKS, report_from_json
from registry.models import DirectUpload, Model, ModelVersion, Promotion
from registry.publishing.publish import Published, mark_default
from registry.uploads.sender import own_upload

admin.site.site_header = "mlserve"
admin.site.site_title = "mlserve"
admin.site.index_title = "Models and predictions"
# The lists are wide, and there are few of them.
admin.site.enable_nav_sidebar = False
admin.site.register(DirectUpload, DirectUploadAdmin)

_STATUS_SYMBOLS = {"live": "●", "ready": "○", "retired": "◌"}
# Long columns that no list shows.
_LONG_FIELDS = ("schema", "columns", "form_config", "sample_rows", "golden_outputs", "environment", "parameters")


class _RefusesDeletionOfUsed:
    """Refuses a deletion that would break something, with the reason, before Django collects the related rows."""

    def get_deleted_objects(self, objs: Iterable[models.Model], request: HttpRequest) -> Any:
        if reasons := [reason for obj in objs if (reason := why_kept(obj))]:
            return [], {}, set(), reasons
        deleted, counts, lacking, protected = super().get_deleted_objects(objs, request)  # type: ignore[misc]
        # A version's promotions are deleted with it, although no user has the permission to delete one alone.
        return deleted, counts, lacking - {Promotion._meta.verbose_name}, protected


class _VersionCells:
    """What a list of versions shows beside plain fields."""

    @admin.display(description="status", ordering="status")
    def status_text(self, version: ModelVersion) -> SafeString:
        symbol, label = _STATUS_SYMBOLS[version.status], version.get_status_display()
        return format_html('<span class="mlserve-status mlserve-{}">{} {}</span>', version.status, symbol, label)

    @admin.display
    def checks(self, version: ModelVersion) -> str:
        return report_from_json(version.report).summary()

    @admin.display(ordering="size_bytes")
    def size(self, version: ModelVersion) -> str:
        return size_text(version.size_bytes)


class VersionInline(_VersionCells, Unchanging, admin.TabularInline):  # type: ignore[type-arg]
    model = ModelVersion
    classes = ("mlserve-plain",)
    verbose_name_plural = "versions, newest first"

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = ("link", "status_text", "checks", "size", "uploaded_by", "uploaded_at")
        return (*fields, "promote") if has_permission(request.user, PROMOTE) else fields

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.get_fields(request, obj)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("model").defer(*_LONG_FIELDS)

    @admin.display(description="tag")
    def link(self, version: ModelVersion) -> SafeString:
        return format_html('<a href="{}">{}</a>', _version_url("change", version), version.tag)

    @admin.display(description="")
    def promote(self, version: ModelVersion) -> str:
        if version.is_live:
            return "serves now"
        return format_html('<a class="button" href="{}">Promote…</a>', _version_url("promote", version))


class PromotionInline(Unchanging, admin.TabularInline):  # type: ignore[type-arg]
    model = Promotion
    classes = ("mlserve-plain",)
    verbose_name_plural = "promotions, newest first"
    fields = readonly_fields = ("promoted_at", "kind", "tag", "replaced_tag", "promoted_by")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return _with_tags(super().get_queryset(request))

    @admin.display
    def tag(self, promotion: Promotion) -> str:
        return promotion.version.tag

    @admin.display(description="before it")
    def replaced_tag(self, promotion: Promotion) -> str:
        return promotion.replaced.version.tag if promotion.replaced else "–"


@admin.register(Model)
class ModelAdmin(_RefusesDeletionOfUsed, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("name", "title", "live_tag", "version_count", "is_public", "answers_default", "created_at")
    list_filter = ("is_public", "is_default")
    search_fields = ("name", "title", "description")
    fields = ("name", "title", "description", "is_public", "is_default", "retention_days", "created_at")
    inlines = (VersionInline, PromotionInline)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        live = ModelVersion.objects.live().filter(model=OuterRef("pk"))
        return Model.objects.with_default().annotate(live=Subquery(live.values("tag")), version_count=Count("versions"))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("is_default", "created_at") if obj is None else ("name", "is_default", "created_at")

    def get_inlines(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.inlines if obj else ()

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"is_public": settings.MLSERVE_NEW_MODELS == "public", **super().get_changeform_initial_data(request)}

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.make_default_view)
        return [path("<int:pk>/make-default/", view, name="registry_model_make_default"), *super().get_urls()]

    @admin.display(description="live version")
    def live_tag(self, model: Any) -> str | None:
        tag: str | None = model.live
        return tag

    @admin.display(description="versions", ordering="version_count")
    def version_count(self, model: Any) -> int:
        return int(model.version_count)

    @admin.display(description="default", boolean=True)
    def answers_default(self, model: Any) -> bool:
        return bool(model.answers_default)

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """A model with versions has a page of its own, which asks what becomes of its predictions."""
        model = self.get_object(request, object_id)
        if model is None or not model.versions.exists():
            return super().delete_view(request, object_id, extra_context)
        return deletion_view(self, request, model)

    def make_default_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        if not self.has_change_permission(request):
            raise PermissionDenied
        model = row_or_404(self, request, pk)
        if request.method == "POST":
            mark_default(model)
            self.log_change(request, model, "Made the default model.")
            self.message_user(request, f"{model} serves POST /api/predict from now on.", messages.SUCCESS)
            return redirect("admin:registry_model_change", model.pk)
        consequence = f"POST /api/predict, which names no model, will be answered by {model}."
        return confirm(self, request, model, title="Make default", consequence=consequence)


@admin.register(ModelVersion)
class ModelVersionAdmin(_VersionCells, _RefusesDeletionOfUsed, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = (
        "tag", "model", "status_text", "checks", "size", "digest", "is_batchable", "uploaded_by", "uploaded_at",
    )  # fmt: skip
    list_filter = ("status", "model")
    search_fields = ("model__name", "tag", "sha256", "uploaded_by")
    fields = (
        "model", "tag", "status_text", "uploaded_by", "uploaded_at", "sha256", "size", "artifact_format",
        "container", "offers", "is_batchable",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("model").defer(*_LONG_FIELDS)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("add/check/", view(self.check_view), name="registry_modelversion_check"),
            path("uploaded/<uuid:upload_id>/", view(self.uploaded_view), name="registry_modelversion_uploaded"),
            *(
                path(
                    f"<int:pk>/{move}/", view(partial(move_view, self)), {"move": move}, f"registry_modelversion_{move}"
                )
                for move in ("promote", "rollback", "retire")
            ),
            path("<int:pk>/trust/", view(partial(trust_view, self)), name="registry_modelversion_trust"),
            path("<int:pk>/compare/", view(self.compare_view), name="registry_modelversion_compare"),
            *super().get_urls(),
        ]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A version never changes. The permission to change one is the one to promote it."""
        return False

    @admin.display(description="SHA-256", ordering="sha256")
    def digest(self, version: ModelVersion) -> str:
        return f"{version.sha256[:12]}…"

    @admin.display(description="outputs")
    def offers(self, version: ModelVersion) -> str:
        classes = f"; classes {', '.join(map(shown, version.class_labels))}" if version.class_labels else ""
        return f"{', '.join(version.outputs)}{classes}"

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """The upload. Not Django's own view, which would hold a transaction open during the inspection."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        if request.method == "POST":
            form = UploadForm(request.POST, request.FILES, user=request.user)
            published = form.publish() if form.is_valid() else None
            if published is not None:
                return self._uploaded(request, published)
        else:
            form = UploadForm(user=request.user, initial={"model": request.GET.get("model", "")})
        plain_form: Any = form
        fieldsets = [(None, {"fields": list(form.fields)})]
        context = {
            "title": "Upload a version",
            "form": form,
            "adminform": AdminForm(plain_form, fieldsets, {}, model_admin=self),
            "report": form.report,
            "model_names": Model.objects.values_list("name", flat=True),
            # For the script that sends a file of any size in parts.
            "most_bytes": settings.MLSERVE_MAX_ARTIFACT_BYTES,
            "csrf_cookie": settings.CSRF_COOKIE_NAME,
            "checks": CHECKS,
        }
        return allow_sending(request, page(self, request, "upload", context))

    def check_view(self, request: HttpRequest) -> HttpResponse:
        """For the page's script: report errors in the form before the artifact is sent."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = DescriptionForm(request.POST, request.FILES, user=request.user)
        sha256 = form.registered_sha256() if form.is_valid() else None
        return JsonResponse({"errors": form.predictable_errors(), "registered_sha256": sha256})

    def uploaded_view(self, request: HttpRequest, upload_id: UUID) -> HttpResponse:
        """Redirect to the version that was published from the user's own direct upload."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        upload = own_upload(request.user, upload_id)
        if upload.version is None:
            raise NotFound(f"The upload {upload} is {upload.get_status_display()}, so it has no version.")
        report = report_from_json(upload.report or {})
        self.message_user(request, f"{upload.version} registered, {report.summary()}.", messages.SUCCESS)
        return redirect(_version_url("change", upload.version))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        version = self.get_object(request, object_id)
        if version is None or not self.has_view_permission(request, version):
            return super().change_view(request, object_id, form_url, extra_context)
        may_promote = has_permission(request.user, PROMOTE)
        context = {
            **tables_of(version),
            **incidents_of(version, request.user),
            "report": report_from_json(version.report).worded(on_this_page),
            "may_promote": may_promote and not version.is_live,
            "may_roll_back": may_promote and version.is_live and earlier(version) is not None,
            "may_retire": may_promote and version.is_live,
            "has_others": version.model.versions.exclude(pk=version.pk).exists(),
        }
        return super().change_view(request, object_id, form_url, context | (extra_context or {}))

    def compare_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        version = row_or_404(self, request, pk)
        form = ComparisonForm(request.GET or None, version=version)
        context = {"title": f"Compare {version}", "original": version, "form": form}
        if form.is_valid():
            context |= {"other": form.cleaned_data["other"], "comparison": form.comparison()}
        return page(self, request, "compare", context)

    def _uploaded(self, request: HttpRequest, published: Published) -> HttpResponse:
        version = published.version
        if published.created:
            self.message_user(request, f"{version} registered, {published.report.summary()}.", messages.SUCCESS)
        else:
            self.message_user(request, f"{version}: the same bytes were registered already.", messages.INFO)
        return redirect(_version_url("change", version))


@admin.register(Promotion)
class PromotionAdmin(Unchanging, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("promoted_at", "kind", "version", "replaced_version", "promoted_by")
    list_filter = ("kind", "model")
    fields = ("promoted_at", "kind", "model", "version", "replaced_version", "promoted_by")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return _with_tags(super().get_queryset(request))

    @admin.display(description="before it")
    def replaced_version(self, promotion: Promotion) -> ModelVersion | None:
        return promotion.replaced.version if promotion.replaced else None


def _version_url(page: str, version: ModelVersion) -> str:
    return reverse(f"admin:registry_modelversion_{page}", args=[version.pk])


def _with_tags(promotions: QuerySet[Any]) -> QuerySet[Any]:
    long = [f"{version}__{name}" for version in ("version", "replaced__version") for name in (*_LONG_FIELDS, "report")]
    return promotions.select_related("model", "version__model", "replaced__version__model").defer(*long)
