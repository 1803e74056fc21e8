"""The incidents of a version on its page, and the view that clears them."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from registry.admin.forms import PROMOTE, has_permission
from registry.admin.rows import confirm, row_or_404
from registry.models import ModelVersion
from registry.models.incident import in_words

_MOST_SHOWN = 20
_CONSEQUENCE = (
    "{version} {words}. It will be predicted like any other again: together with other versions, and in web processes. "
    "After another incident it is quarantined again."
)


def incidents_of(version: ModelVersion, user: Any) -> dict[str, Any]:
    """What the page of a version shows of its incidents."""
    open_ones = list(version.incidents.open())
    return {
        "incidents": list(version.incidents.all()[:_MOST_SHOWN]),
        "incidents_in_words": in_words(open_ones),
        "may_trust": bool(open_ones) and has_permission(user, PROMOTE),
    }


def trust_view(site: Any, request: HttpRequest, pk: int) -> HttpResponse:
    """Confirm, then clear the open incidents."""
    if not has_permission(request.user, PROMOTE):
        raise PermissionDenied
    version = row_or_404(site, request, pk)
    page = redirect("admin:registry_modelversion_change", version.pk)
    words = in_words(version.incidents.open())
    if not words:
        site.message_user(request, f"{version} has no open incidents.", messages.WARNING)
        return page
    if request.method != "POST":
        consequence = _CONSEQUENCE.format(version=version, words=words)
        return confirm(site, request, version, title="Trust again", consequence=consequence)
    version.incidents.open().clear(now=timezone.now())
    site.log_change(request, version, f"Trusted again although it {words}.")
    site.message_user(request, f"{version} is predicted like any other again, within seconds.", messages.SUCCESS)
    return page
