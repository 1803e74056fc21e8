"""API tokens in the admin: users make and revoke their own, superusers those of all users. Also its accounts."""

from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin.helpers import AdminForm
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.cache import add_never_cache_headers
from django.utils.html import format_html
from django.utils.safestring import SafeString

from mlserve.access.audit import log_action
from mlserve.access.tokens import revoke
from mlserve.accounts.deleted_admin import DeletedAccountAdmin
from mlserve.accounts.token_form import TokenForm
from mlserve.accounts.user_admin import AccountAdmin
from mlserve.models import ApiToken, DeletedAccount
from registry.admin.rows import confirm, row_or_404

# Its own form refuses users who are no staff; with this one they are signed in, and sent to their own page.
admin.site.login_form = AuthenticationForm
# An address that is not there is the 404 of all others, for every method.
admin.site.final_catch_all_view = False
admin.site.unregister(User)
admin.site.register(User, AccountAdmin)
admin.site.register(DeletedAccount, DeletedAccountAdmin)

_SYMBOLS = {"active": "●", "expired": "○", "revoked": "✗", "user inactive": "–"}
_LOOKS = {"active": "live", "expired": "expired", "revoked": "failed", "user inactive": "canceled"}


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("name", "user", "scopes", "state_text", "expiry", "last_used_at", "starts_with", "created")
    list_display_links = ("name",)
    search_fields = ("name", "user__username", "token_key")
    fields = (
        "name", "user", "scopes", "state_text", "starts_with", "created", "created_by", "expiry", "revoked_at",
        "last_used_at",
    )  # fmt: skip
    actions = ("revoke_selected",)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.revoke_view)
        return [path("<int:pk>/revoke/", view, name="mlserve_apitoken_revoke"), *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Superusers see all tokens, other users their own."""
        tokens = super().get_queryset(request).select_related("user")
        return tokens if _maker(request).is_superuser else tokens.filter(user=_maker(request))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A token never changes: make another one and revoke this one."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Predictions keep naming the token that submitted them, so it stays."""
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_view_permission(request, obj) or self.has_add_permission(request)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return self.has_add_permission(request)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """The secret is only in the answer to this one request: no message and no session contains it."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = TokenForm(request.POST or None, maker=_maker(request))
        if request.method == "POST" and form.is_valid():
            token, secret = form.make()
            log_action(request.user, token, f"Made for {token.user}, scopes {token.scopes}.", is_new=True)
            return self._page(request, "made", {"title": f"Token {token.name}", "token": token, "secret": secret})
        plain_form: Any = form
        fieldsets = AdminForm(plain_form, [(None, {"fields": list(form.fields)})], {}, model_admin=self)
        return self._page(request, "add", {"title": "Make an API token", "form": form, "adminform": fieldsets})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        token = self.get_object(request, object_id)
        may_revoke = token is not None and token.revoked_at is None and self.has_revoke_permission(request)
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "may_revoke": may_revoke})

    def revoke_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Confirm, then revoke; users revoke their own, superusers any."""
        if not self.has_revoke_permission(request):
            raise PermissionDenied
        token = row_or_404(self, request, pk)
        if request.method != "POST":
            consequence = "The next request with it is refused, and nothing makes it valid again. It stays in the list."
            return confirm(self, request, token, title="Revoke", consequence=consequence)
        self.revoke_selected(request, self.get_queryset(request).filter(pk=token.pk))
        return redirect("admin:mlserve_apitoken_change", token.pk)

    @admin.display(description="state")
    def state_text(self, token: ApiToken) -> SafeString:
        state = token.state()
        return format_html(
            '<span class="mlserve-status mlserve-{}">{} {}</span>', _LOOKS[state], _SYMBOLS[state], state
        )

    @admin.display(description="begins with")
    def starts_with(self, token: ApiToken) -> str:
        return f"{token.token_key}…"

    @admin.action(description="Revoke the selected tokens", permissions=["revoke"])
    def revoke_selected(self, request: HttpRequest, tokens: QuerySet[Any]) -> None:
        revoked = [token for token in tokens if revoke(token)]
        for token in revoked:
            log_action(request.user, token, "Revoked.")
        others = len(tokens) - len(revoked)
        message = f"{len(revoked)} revoked." + (f" {others} had been before." if others else "")
        self.message_user(request, message, messages.WARNING if others else messages.SUCCESS)

    def _page(self, request: HttpRequest, name: str, context: dict[str, Any]) -> HttpResponse:
        every = {**self.admin_site.each_context(request), "opts": self.opts, "media": self.media, **context}
        response = TemplateResponse(request, f"admin/mlserve/apitoken/{name}.html", every)
        add_never_cache_headers(response)
        return response


def _maker(request: HttpRequest) -> User:
    """Users of the admin are signed in."""
    return cast(User, request.user)
