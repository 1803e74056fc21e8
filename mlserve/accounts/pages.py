"""The pages of one's own account, for users who are no staff: password, tokens, predictions."""

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import PasswordChangeView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from mlserve.access.audit import log_action
from mlserve.access.tokens import revoke
from mlserve.accounts.token_form import OwnTokenForm, useful_scopes
from mlserve.errors import BadParameter, NotFound
from mlserve.models import ApiToken
from predictions.models import Prediction
from predictions.store.listing import Listing

_FIRST_PREDICTIONS, _PREDICTIONS_OF_A_PAGE, _MOST_TOKENS = 10, 50, 200
_STATE_BADGES = {"active": "good", "expired": "warn", "revoked": "", "user inactive": "wrong"}


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def account(request: HttpRequest) -> HttpResponse:
    """The account of the user; posted, a new token, whose secret is only in the answer to this one request."""
    user: Any = request.user
    form = OwnTokenForm(request.POST if request.method == "POST" else None, maker=user)
    form.fields["scopes"].choices = useful_scopes(user)  # type: ignore[attr-defined]
    if request.method == "POST" and form.is_valid():
        token, secret = form.make()
        log_action(user, token, f"Made for {token.user}, scopes {token.scopes}.", is_new=True)
        return render(request, "account/token.html", {"token": token, "secret": secret})
    tokens = ApiToken.objects.filter(user=user).select_related("user")[:_MOST_TOKENS]
    context = {
        "form": form,
        "tokens": [{"token": token, "state": token.state(), "badge": _STATE_BADGES[token.state()]} for token in tokens],
        **_own_predictions(user, _FIRST_PREDICTIONS),
    }
    return render(request, "account/account.html", context, status=422 if form.errors else 200)


@require_safe
@never_cache
@login_required
def predictions(request: HttpRequest) -> HttpResponse:
    """All predictions of the account, newest first, page by page (`?before=` the last id of the page before)."""
    asked = request.GET.get("before", "")
    try:
        before = UUID(asked) if asked else None
    except ValueError as error:
        raise BadParameter(f"before is {asked[:50]!r}. Give the id of a prediction, or leave it out.") from error
    context = _own_predictions(request.user, _PREDICTIONS_OF_A_PAGE, before)
    return render(request, "account/predictions.html", {**context, "is_first": before is None})


@require_POST
@never_cache
@login_required
def revoke_token(request: HttpRequest, pk: int) -> HttpResponse:
    """End one of the user's own tokens at once."""
    token = ApiToken.objects.filter(pk=pk, user=request.user.pk).first()
    if token is None:
        raise NotFound(f"There is no token {pk}, or it is not yours to see.")
    if revoke(token):
        log_action(request.user, token, "Revoked.")
        messages.success(request, f"The token {token} is revoked: the next request with it is refused.")
    else:
        messages.info(request, f"The token {token} was revoked before.")
    return redirect("account")


class PasswordPage(PasswordChangeView):
    template_name = "account/password.html"
    success_url = reverse_lazy("account")

    def form_valid(self, form: Any) -> HttpResponse:
        messages.success(self.request, "Your password is changed. Other browsers that were signed in are no longer.")
        return super().form_valid(form)


@never_cache
def admin_login(request: HttpRequest) -> HttpResponse:
    """The admin's own sign-in, in front of which users who are no staff are sent to their own page."""
    if request.method in ("GET", "HEAD") and request.user.is_authenticated and not request.user.is_staff:
        messages.info(request, "The admin is for staff. This is the page of your own account.")
        return redirect("account")
    response: HttpResponse = admin.site.login(request)
    return response


def _own_predictions(user: Any, most: int, before: UUID | None = None) -> dict[str, Any]:
    page = Listing(owner_id=user.pk).page(most, older_than=before)
    found = Prediction.objects.filter(pk__in=page.ids).order_by("-pk").select_related("version__model")
    shown = found.only("status", "row_count", "created_at", "version__tag", "version__model__name")
    return {"predictions": shown, "next": page.next}
