"""Every address. The last pattern matches all others, so that an unknown one gets the same kind of error."""

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.templatetags.static import static
from django.urls import include, path, re_path
from django.utils.functional import lazy
from django.views.generic import RedirectView

from mlserve.accounts import pages
from mlserve.http import problems
from mlserve.operations import health, metrics
from mlserve.site import openapi, problem_pages

urlpatterns = [
    path("healthz", health.live, name="healthz"),
    path("readyz", health.ready, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
    path("api/schema", openapi.schema, name="schema"),
    path("api/docs", openapi.docs, name="api-docs"),
    path("api/", include("predictions.api.urls")),
    path("api/", include("registry.api.urls")),
    path("problems/<slug:slug>", problem_pages.problem, name="problem"),
    path("login", LoginView.as_view(template_name="login.html", redirect_authenticated_user=True), name="login"),
    path("logout", LogoutView.as_view(), name="logout"),
    path("account", include("mlserve.accounts.urls")),
    # Browsers ask for it on pages that name no icon, such as the admin's and Swagger UI's.
    path("favicon.ico", RedirectView.as_view(url=lazy(static, str)("mlserve/favicon.svg"))),
    # The admin's redirect to the page of any object on the site: none has one, and ids of another kind raise there.
    path("admin/r/<path:content_type_id>/<path:object_id>/", problems.unknown_address),
    path("admin/login/", pages.admin_login),
    path("admin/", admin.site.urls),
    path("", include("predictions.pages.urls")),
    re_path(r"", problems.unknown_address),
]
handler400 = "mlserve.http.problems.bad_request"
handler403 = "mlserve.http.problems.forbidden"
