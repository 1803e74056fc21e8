"""Direct uploads in the admin: sender and file, progress of the inspection, reason of a refusal."""

from typing import Any, cast

from csp.decorators import csp_update
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from mlserve.errors import MlserveError, Unavailable
from mlserve.units import size_text
from registry.admin.forms import on_this_page
from registry.admin.rows import Unchanging, confirm, row_or_404
from registry.inspection.report import CHECKS, report_from_json
from registry.models.direct_upload import DirectUpload, Status
from registry.multipart.destination import current_transfer
from registry.uploads.sender import abandon, arrived_parts

_SYMBOLS = {
    Status.OPEN: "○",
    Status.QUEUED: "…",
    Status.INSPECTING: "▶",
    Status.PUBLISHED: "✓",
    Status.REFUSED: "✗",
    Status.FAILED: "✗",
    Status.CANCELED: "–",
}


def allow_sending(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Allow the response's page to send requests to the storage that takes the parts of an upload."""
    try:
        origin = current_transfer().origin()
    except Unavailable:
        return response  # the page shows the error when it sends
    allow_origin = csp_update({"connect-src": ["'self'", origin]}) if origin else None
    return cast(HttpResponse, allow_origin(lambda _request: response)(request)) if allow_origin else response


class DirectUploadAdmin(Unchanging, admin.ModelAdmin):  # type: ignore[type-arg]
    """Read-only, but for canceling, which needs the permission to delete one."""

    change_form_template = "admin/registry/directupload/change_form.html"
    list_display = ("name", "status_text", "target", "size", "uploaded_by", "created_at")
    list_filter = ("status",)
    search_fields = ("file_name", "model_name", "tag", "uploaded_by", "sha256")
    fields = (
        "status_text", "why", "file_name", "size", "sha256", "target", "version_link", "uploaded_by",
        "created_at", "submitted_at", "finished_at", "attempts",
    )  # fmt: skip
    actions = ("cancel_selected",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("version__model").defer("report")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("status_text", "parts", *self.fields[2:]) if obj and obj.status == Status.OPEN else self.fields

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.cancel_view)
        return [path("<uuid:pk>/cancel/", view, name="registry_directupload_cancel"), *super().get_urls()]

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("registry.delete_directupload")

    @admin.display(description="file", ordering="file_name")
    def name(self, upload: DirectUpload) -> str:
        return upload.file_name or str(upload.pk)

    @admin.display(description="status", ordering="status")
    def status_text(self, upload: DirectUpload) -> SafeString:
        status = Status(upload.status)
        looks = "failed" if status in (Status.REFUSED, Status.FAILED) else status.value
        label = f"{upload.get_status_display()}{_progress(upload)}"
        return format_html('<span class="mlserve-status mlserve-{}">{} {}</span>', looks, _SYMBOLS[status], label)

    @admin.display(description="to become", ordering="model_name")
    def target(self, upload: DirectUpload) -> str:
        return f"{upload.model_name} {upload.tag}".strip() or "–"

    @admin.display(ordering="size_bytes")
    def size(self, upload: DirectUpload) -> str:
        return size_text(upload.size_bytes)

    @admin.display(description="why")
    def why(self, upload: DirectUpload) -> str:
        return on_this_page((upload.problem or {}).get("detail") or "–")

    @admin.display(description="version")
    def version_link(self, upload: DirectUpload) -> str:
        if upload.version is None:
            return "–"
        url = reverse("admin:registry_modelversion_change", args=[upload.version.pk])
        return format_html('<a href="{}">{}</a>', url, upload.version)

    @admin.display(description="arrived")
    def parts(self, upload: DirectUpload) -> str:
        """How many parts of an open upload arrived, and until when they are stored."""
        try:
            arrived = len(arrived_parts(upload))
        except MlserveError as error:
            return error.detail
        until = f"{upload.expires_at:%Y-%m-%d %H:%M} UTC"
        return f"{arrived} of {upload.staging.part_count} parts; canceled at {until} unless it is submitted"

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        upload = self.get_object(request, object_id)
        context: dict[str, Any] = {}
        if upload is not None:
            context["report"] = report_from_json(upload.report).worded(on_this_page) if upload.report else None
            context["may_cancel"] = upload.status == Status.OPEN and self.has_cancel_permission(request)
        return super().change_view(request, object_id, form_url, context | (extra_context or {}))

    def cancel_view(self, request: HttpRequest, pk: Any) -> HttpResponse:
        """Confirm, then abandon."""
        if not self.has_cancel_permission(request):
            raise PermissionDenied
        upload: DirectUpload = row_or_404(self, request, pk)
        if request.method != "POST":
            consequence = "What arrived of it is deleted, and it cannot be resumed."
            return confirm(self, request, upload, title="Cancel the upload", consequence=consequence)
        self._cancel(request, [upload])
        return redirect("admin:registry_directupload_change", upload.pk)

    @admin.action(description="Cancel the selected uploads", permissions=["cancel"])
    def cancel_selected(self, request: HttpRequest, uploads: QuerySet[Any]) -> None:
        self._cancel(request, list(uploads))

    def _cancel(self, request: HttpRequest, uploads: list[DirectUpload]) -> None:
        for upload in uploads:
            try:
                abandon(upload)
            except MlserveError as error:
                self.message_user(request, f"{upload}: {error.detail}", messages.WARNING)
            else:
                self.log_change(request, upload, "Canceled.")
                self.message_user(request, f"{upload} is canceled.", messages.SUCCESS)


def _progress(upload: DirectUpload) -> str:
    """The step, or how many checks are done."""
    if not upload.progress:
        return ""
    done = len(upload.progress.get("checks", ()))
    return f", {done} of {len(CHECKS)} checks" if done else f", {upload.progress.get('step', '')}"
