"""Who gets in where: every address of the resolver, with every method, asked by a stranger and by a plain account.

A new address must be entered into the table below, with who may use it; the failing test says so. Everything is
private here: the model, the prediction and the upload belong to another account.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from mlserve.http.problems import unknown_address
from predictions.serving.submission import submit
from registry.models import Model, ModelVersion
from registry.models.direct_upload import DirectUpload

pytestmark = pytest.mark.django_db

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# Of an address: what a stranger and a plain account are answered. Methods that are not named are refused with 405.
Answers = dict[str, tuple[int, int]]


def all_callers(*methods: str, status: int = 200) -> Answers:
    return dict.fromkeys(methods, (status, status))


def signed_in(*methods: str, status: int = 200, stranger: int = 401) -> Answers:
    return dict.fromkeys(methods, (stranger, status))


READ = all_callers("GET", "HEAD")
# What a stranger cannot tell from a thing that does not exist.
READ_PRIVATE = signed_in("GET", "HEAD", stranger=404)
# What belongs to another account: other accounts can tell it from what is absent as little as a stranger.
HIDDEN = all_callers("GET", "HEAD", status=404)
NEEDS_PERMISSION = 403
SUBMIT = {"POST": (404, 422)}  # an empty record
# DRF's description of a view, the same for all callers.
DESCRIBED = all_callers("OPTIONS")
FORM = {**all_callers("GET", "HEAD", "POST", "PUT", "OPTIONS")}
# A caller who is no staff is sent to sign in, by any method, before anything is looked up.
STAFF: Answers = all_callers(*METHODS, status=302)
TABLE: dict[str, Answers] = {
    # --- Machines ask: open, and without personal data.
    "healthz": all_callers(*METHODS),
    "readyz": all_callers(*METHODS, status=503),  # no worker runs here
    "metrics": READ,
    # --- API
    "api/schema": READ | DESCRIBED,
    "api/docs": READ | DESCRIBED,
    "api/predict": signed_in("GET", "HEAD") | SUBMIT | DESCRIBED,
    "api/predict/export": signed_in("GET", "HEAD") | DESCRIBED,
    "api/predict/erase": signed_in("POST") | DESCRIBED,
    "api/predict/<id:pk>": HIDDEN | DESCRIBED,
    "api/predict/<id:pk>/cancel": all_callers("POST", status=404) | DESCRIBED,
    "api/models": READ | DESCRIBED,
    "api/models/<str:model>": READ_PRIVATE | DESCRIBED,
    "api/models/<str:model>/schema": READ_PRIVATE | DESCRIBED,
    "api/models/<str:model>/predict": SUBMIT | DESCRIBED,
    "api/models/<str:model>/promote": signed_in("POST", status=NEEDS_PERMISSION) | DESCRIBED,
    "api/models/<str:model>/rollback": signed_in("POST", status=NEEDS_PERMISSION) | DESCRIBED,
    "api/models/<str:model>/retire": signed_in("POST", status=NEEDS_PERMISSION) | DESCRIBED,
    "api/models/<str:model>/versions": READ_PRIVATE | signed_in("POST", status=NEEDS_PERMISSION) | DESCRIBED,
    "api/models/<str:model>/versions/<str:tag>": READ_PRIVATE | DESCRIBED,
    "api/models/<str:model>/versions/<str:tag>/schema": READ_PRIVATE | DESCRIBED,
    "api/models/<str:model>/versions/<str:tag>/predict": SUBMIT | DESCRIBED,
    "api/uploads": signed_in("POST", status=NEEDS_PERMISSION) | DESCRIBED,
    "api/uploads/<id:upload>": signed_in("GET", "HEAD", "DELETE", status=NEEDS_PERMISSION) | DESCRIBED,
    "api/uploads/<id:upload>/parts": signed_in("POST", status=NEEDS_PERMISSION) | DESCRIBED,
    "api/uploads/<id:upload>/parts/<int:number>": signed_in("PUT", status=NEEDS_PERMISSION) | DESCRIBED,
    # --- Pages
    "": READ,
    "problems/<slug:slug>": all_callers(*METHODS),
    "login": {**FORM, **signed_in(*METHODS, status=302, stranger=200), "PATCH": (405, 302), "DELETE": (405, 302)},
    "account": {**signed_in("GET", "HEAD", stranger=302), "POST": (302, 422)},
    "account/password": {
        **all_callers(*METHODS, status=302),
        **signed_in("GET", "HEAD", "POST", "PUT", "OPTIONS", stranger=302),
        "PATCH": (302, 405),
        "DELETE": (302, 405),
    },
    "account/predictions": signed_in("GET", "HEAD", stranger=302),
    "account/tokens/<int:pk>/revoke": {"POST": (302, 404)},
    "logout": {**all_callers("POST", status=302), **DESCRIBED},
    "favicon.ico": all_callers(*METHODS, status=302),
    "models/<str:model>": signed_in("GET", "HEAD", stranger=404) | {"POST": (404, 422)},
    "models/<str:model>/suggestions": HIDDEN,  # of a column that does not exist
    "predictions/<id:pk>": HIDDEN,
    "(anything else)": all_callers(*METHODS, status=404),
    # --- Admin
    "admin/": STAFF,
    "admin/login/": {**FORM, **signed_in("GET", "HEAD", status=302, stranger=200)},
    "admin/logout/": STAFF,
    "admin/password_change/": STAFF,
    "admin/password_change/done/": STAFF,
    "admin/autocomplete/": STAFF,
    "admin/jsi18n/": STAFF,
    "admin/r/<path:content_type_id>/<path:object_id>/": all_callers(*METHODS, status=404),
    "admin/(app)/": STAFF,
    "admin/auth/user/<id>/password/": STAFF,
    "admin/mlserve/apitoken/<int:pk>/revoke/": STAFF,
    "admin/mlserve/deletedaccount/<int:pk>/erase/": STAFF,
    "admin/registry/directupload/<uuid:pk>/cancel/": STAFF,
    "admin/registry/model/<int:pk>/make-default/": STAFF,
    "admin/registry/modelversion/add/check/": STAFF,
    "admin/registry/modelversion/uploaded/<uuid:upload_id>/": STAFF,
    "admin/registry/modelversion/<int:pk>/promote/": STAFF,
    "admin/registry/modelversion/<int:pk>/rollback/": STAFF,
    "admin/registry/modelversion/<int:pk>/retire/": STAFF,
    "admin/registry/modelversion/<int:pk>/trust/": STAFF,
    "admin/registry/modelversion/<int:pk>/compare/": STAFF,
}
# Django's own pages of each table in the admin.
_TABLES = (
    "auth/group", "auth/user", "django_q/schedule", "mlserve/apitoken", "mlserve/deletedaccount",
    "predictions/prediction",
    "registry/directupload", "registry/model", "registry/modelversion", "registry/promotion",
)  # fmt: skip
_PAGES = ("", "add/", *(f"<path:object_id>/{page}" for page in ("", "history/", "delete/", "change/")))
TABLE |= {f"admin/{table}/{page}": STAFF for table in _TABLES for page in _PAGES}


def patterns(resolver: Any = None, prefix: str = "") -> Iterator[str]:
    """Every address that the project answers, in the words of the table."""
    for entry in (resolver or get_resolver()).url_patterns:
        pattern = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from patterns(entry, pattern)
        elif isinstance(entry, URLPattern):
            is_last_resort = pattern == prefix and entry.callback is unknown_address
            pattern = f"{prefix}(anything else)" if is_last_resort else pattern
            pattern = re.sub(r"\^\(\?P<app_label>.*", "(app)/", pattern)
            yield pattern


@pytest.fixture
def address(penguins: ModelVersion, penguin: dict[str, Any], owner: User, settings: Any) -> Callable[[str], str]:
    """`address(pattern)` with the ids of what the owner has."""
    Model.objects.update(is_public=False)
    settings.MLSERVE_ANONYMOUS_HISTORY = False
    prediction = submit(penguins, penguin, outputs=["predict"], user=owner)
    upload = DirectUpload.objects.create(size_bytes=10, part_bytes=10, owner=owner, created_at=timezone.now())
    values = {
        "pk": prediction.pk, "upload": upload.pk, "upload_id": upload.pk, "model": "penguins", "tag": "1.0",
        "number": 1, "slug": "not-found", "object_id": 1, "content_type_id": 1, "id": 1,
    }  # fmt: skip

    def fill(pattern: str) -> str:
        pattern = pattern.replace("<int:pk>", "1").replace("(app)", "registry").replace("(anything else)", "nothing")
        return "/" + re.sub(r"<(?:\w+:)?(\w+)>", lambda found: str(values[found[1]]), pattern)

    return fill


def test_it_has_a_row_for_each_address() -> None:
    found = set(patterns())

    assert found - set(TABLE) == set(), "new addresses: enter them into TABLE, with who may use them"
    assert set(TABLE) - found == set(), "addresses that are gone"


def test_it_lets_in_whom_the_table_says(address: Callable[[str], str], reader: User) -> None:
    stranger, plain, wrong = Client(raise_request_exception=False), Client(raise_request_exception=False), []
    for pattern, expected in TABLE.items():
        url = address(pattern)
        for method in METHODS:
            if method == METHODS[0] or "logout" in pattern:
                plain.force_login(reader)
            found = tuple(ask(client, method, url) for client in (stranger, plain))
            if found != expected.get(method, (405, 405)):
                wrong.append(f"{method} {pattern}: {found} instead of {expected.get(method, (405, 405))}")

    assert wrong == []


def ask(client: Client, method: str, url: str) -> int:
    """The status. Of the admin's redirects only those to its sign-in page count, and from there to one's own page."""
    content = b"{}" if method in ("POST", "PUT", "PATCH") else b""
    response = client.generic(method, url, content, content_type="application/json")
    if url.startswith("/admin/") and response.status_code == 302 and url != "/admin/logout/":
        target = "/account" if url == "/admin/login/" else "/admin/login/?next="
        assert response.headers["Location"].startswith(target), (method, url)
    return response.status_code


def test_it_knows_no_object_by_its_type(owner: User) -> None:
    """Not by an id of another kind either, such as a number where the objects of the type have UUIDs."""
    client = Client()
    client.force_login(owner)

    for content_type in ContentType.objects.all():
        assert client.get(f"/admin/r/{content_type.pk}/1/").status_code == 404


@pytest.mark.parametrize(
    "path",
    ["/static/../manage.py", "/static/%2e%2e/manage.py", "/static/..%2fmanage.py", "/static//etc/passwd",
     "/static/mlserve/../../../manage.py", "/static/..\\manage.py", "/static/", "/static/mlserve", "/.env", "/var/"],
)  # fmt: skip
def test_it_serves_no_other_files(client: Client, path: str) -> None:
    response = client.get(path)

    assert response.status_code == 404
    assert b"execute_from_command_line" not in response.content
