"""Rows that the admin cannot change, and the registry's own pages in it."""

from collections.abc import Mapping
from typing import Any

from django.db import models
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse


class Unchanging:
    """For rows that only a publication writes."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def page(site: Any, request: HttpRequest, name: str, context: Mapping[str, Any]) -> HttpResponse:
    """One of the registry's own pages, with the context of Django's pages for the same kind of row."""
    common = {**site.admin_site.each_context(request), "opts": site.opts, "media": site.media}
    return TemplateResponse(request, f"admin/registry/{name}.html", {**common, **context})


def confirm(site: Any, request: HttpRequest, row: models.Model, *, title: str, consequence: str) -> HttpResponse:
    context = {"title": f"{title}: {row}", "original": row, "action": title, "consequence": consequence}
    return page(site, request, "confirm", context)


def row_or_404(site: Any, request: HttpRequest, pk: int) -> Any:
    row = site.get_object(request, str(pk))
    if row is None:
        raise Http404
    return row
