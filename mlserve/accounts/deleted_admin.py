"""Deleted accounts in the admin: which of them have predictions still, and erasing these."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path

from mlserve.access.audit import log_action
from mlserve.errors import Unavailable
from predictions.store.personal_data import Whose, erase, forget_deleted_accounts
from registry.admin.rows import Unchanging, confirm, row_or_404

_ERASE = "predictions.delete_prediction"
# A request of the admin ends soon enough for each proxy in front.
_ERASE_SECONDS = 15.0
_CONSEQUENCE = "All that {} has asked is deleted for good, with inputs and results. What is queued is canceled first."


class DeletedAccountAdmin(Unchanging, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("name", "id", "deleted_at")
    search_fields = ("name",)
    fields = ("name", "id", "deleted_at")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """That of accounts."""
        return bool(request.user.has_perm("auth.view_user"))

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.erase_view)
        return [path("<int:pk>/erase/", view, name="mlserve_deletedaccount_erase"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        context = {"may_erase": _may_erase(request), **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    def erase_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Confirm, then erase."""
        if not (self.has_view_permission(request) and _may_erase(request)):
            raise PermissionDenied
        account = row_or_404(self, request, pk)
        if request.method != "POST":
            return confirm(
                self, request, account, title="Erase predictions", consequence=_CONSEQUENCE.format(account.name)
            )
        try:
            erased = erase(Whose(account), seconds=_ERASE_SECONDS)
        except Unavailable as error:
            self.message_user(request, f"Not everything was erased. {error.detail}", messages.ERROR)
            return redirect("admin:mlserve_deletedaccount_change", pk)
        counted = f"{erased.count} {'prediction' if erased.count == 1 else 'predictions'}"
        log_action(request.user, account, f"Erased {counted}.")
        if not erased.is_complete:
            left = "Some are being predicted at this moment, or time was too short: erase again."
            self.message_user(request, f"Erased: {counted}. {left}", messages.WARNING)
            return redirect("admin:mlserve_deletedaccount_change", pk)
        forget_deleted_accounts()
        self.message_user(request, f"Erased: {counted} of {account.name}.", messages.SUCCESS)
        return redirect("admin:mlserve_deletedaccount_changelist")


def _may_erase(request: HttpRequest) -> bool:
    return bool(request.user.has_perm(_ERASE))
