"""The page behind each problem type's address."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from mlserve.errors import all_kinds


def problem(request: HttpRequest, slug: str) -> HttpResponse:
    """Explains a kind of problem; the `type` of a problem object is this address."""
    for kind in all_kinds():
        if kind.slug == slug:
            facts = {"slug": slug, "status": kind.status, "title": kind.title, "meaning": kind.meaning}
            return render(request, "problem_type.html", {"kind": facts})
    raise Http404
