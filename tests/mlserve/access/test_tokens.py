"""API tokens: who is signed in by one, what it allows, and what a caller with a wrong one is told."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.test import APIClient

from mlserve.access import tokens
from mlserve.access.tokens import make_token, revoke
from mlserve.errors import BadParameter
from mlserve.models import ApiToken, TokenUser
from mlserve.permissions import SCOPES
from predictions.models import Prediction
from registry.models import Model, ModelVersion
from tests.mlserve.http.test_both_chains import RECORD, URL, Program, browser

pytestmark = pytest.mark.django_db

Make = Callable[..., str]
CLIENTS = pytest.mark.parametrize("client", [Program, browser], ids=["short", "long"])
UNKNOWN = "mls_" + "0" * 64


def bearer(secret: str) -> dict[str, Any]:
    return {"HTTP_AUTHORIZATION": f"Bearer {secret}"}


def secret_of(user: User, *scopes: str, days: int | None = 1) -> str:
    return make_token(user, name="test", scopes=list(scopes), days=days, created_by="test")[1]


@pytest.fixture
def private(penguins: ModelVersion) -> ModelVersion:
    """The live version of a model that strangers must not see."""
    Model.objects.update(is_public=False)
    return penguins


@pytest.fixture
def uploader(db: None) -> User:
    """Staff with every permission of the registry, but no superuser."""
    user = User.objects.create_user("uploader", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label__in=["registry", "predictions"]))
    return user


@CLIENTS
def test_it_signs_in_and_records_by_which_token(private: ModelVersion, reader: User, client: Any) -> None:
    secret = secret_of(reader, "predict")

    response = client().post(URL, RECORD, format="json", **bearer(secret))

    assert response.status_code == 202
    prediction = Prediction.objects.get()
    assert (prediction.owner, prediction.token_id) == (reader, ApiToken.objects.get().pk)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "Token"])
@pytest.mark.parametrize(
    "url", ["/api/models", "/api/models/penguins", "/api/models/penguins/schema", URL, "/api/schema"]
)
def test_it_signs_in_everywhere(private: ModelVersion, reader: User, scheme: str, url: str) -> None:
    secret = secret_of(reader, "predict")

    response = Program().get(url, HTTP_AUTHORIZATION=f"{scheme} {secret}")

    assert response.status_code == 200
    assert url != "/api/schema" or b"/api/models/penguins/predict" in response.content


def test_it_keeps_no_secret(reader: User) -> None:
    secret = secret_of(reader, "predict")
    token = ApiToken.objects.get()

    assert secret.startswith("mls_")
    assert secret not in str(vars(token))
    assert secret.removeprefix(token.token_key) not in token.digest


@CLIENTS
@pytest.mark.parametrize(
    "header",
    [
        f"Bearer {UNKNOWN}",
        "Bearer",
        "Bearer ",
        "Bearer a b",
        "Bearer mls_",
        f"Bearer {UNKNOWN}0",
        f"Bearer {UNKNOWN.upper()}",
        f"Bearer {UNKNOWN[:-1]}\x00",
        f"Bearer {UNKNOWN[:-1]}é",
        "Bearer " + "m" * 100_000,
        "Token x",
    ],
)
def test_it_refuses_what_is_no_token(penguins: ModelVersion, client: Any, header: str) -> None:
    response = client().get("/api/models", HTTP_AUTHORIZATION=header)

    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == 'Basic realm="api", Bearer realm="api"'
    assert response.json()["detail"].startswith("This token is not known here.")


def _expired(token: ApiToken) -> None:
    ApiToken.objects.update(expiry=timezone.now() - timedelta(seconds=1))


def _inactive(token: ApiToken) -> None:
    User.objects.update(is_active=False)


@pytest.mark.parametrize(
    ("end", "reason"),
    [(_expired, "This token expired on 20"), (revoke, "This token was revoked on 20"), (_inactive, "no longer active")],
)
def test_it_says_why_to_a_caller_that_has_the_token(
    penguins: ModelVersion, reader: User, end: Callable[[ApiToken], Any], reason: str
) -> None:
    secret = secret_of(reader, "predict")
    assert Program().get("/api/models", **bearer(secret)).status_code == 200
    end(ApiToken.objects.get())

    refused = Program().get("/api/models", **bearer(secret))
    guessed = Program().get("/api/models", **bearer(secret[:20] + "0" * 48))

    assert (refused.status_code, guessed.status_code) == (401, 401)
    assert reason in refused.json()["detail"]
    assert "not known" in guessed.json()["detail"]
    assert ApiToken.objects.count() == 1


@pytest.mark.parametrize("secret", [UNKNOWN, "known"])
def test_it_costs_one_statement_right_or_wrong(private: ModelVersion, reader: User, secret: str) -> None:
    known = secret_of(reader, "predict")
    Program().get(URL, **bearer(known))  # notes the use
    authentication, request = tokens.ApiTokenAuthentication(), APIClient().get("/healthz").wsgi_request
    request.META["HTTP_AUTHORIZATION"] = f"Bearer {known if secret == 'known' else secret}"

    with CaptureQueriesContext(connection) as statements:
        try:
            authentication.authenticate(request)  # type: ignore[arg-type]  # it reads the headers only
        except AuthenticationFailed:
            assert secret == UNKNOWN
    assert len(statements) == 1


def test_it_notes_its_use_once_an_hour(penguins: ModelVersion, reader: User) -> None:
    secret = secret_of(reader, "predict")

    def used_at() -> Any:
        Program().get("/api/models", **bearer(secret))
        return ApiToken.objects.get().last_used_at

    first = used_at()
    assert used_at() == first
    ApiToken.objects.update(last_used_at=first - timedelta(hours=2))
    assert used_at() >= first


def test_it_refuses_no_caller_because_the_use_cannot_be_recorded(
    penguins: ModelVersion, reader: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Locked:
        def filter(self, *_: Any, **__: Any) -> Any:
            raise OperationalError("database is locked")

    secret = secret_of(reader, "predict")
    assert tokens._BY_KEY.all(token_key="") == []  # built once per process, and not of what follows
    monkeypatch.setattr(ApiToken, "objects", Locked())

    assert Program().get("/api/models", **bearer(secret)).status_code == 200


@pytest.mark.parametrize(
    ("scopes", "method", "url", "status"),
    [
        (("predict",), "POST", URL, 202),
        (("upload",), "POST", URL, 403),
        (("admin",), "POST", URL, 202),
        (("upload",), "GET", "/api/models", 200),
        (("predict",), "POST", "/api/uploads", 403),
        (("upload",), "POST", "/api/uploads", 201),
        (("upload",), "POST", "/api/models/penguins/promote", 403),
        (("predict", "upload"), "POST", "/api/models/penguins/rollback", 403),
        (("predict", "upload"), "POST", "/api/models/penguins/retire", 403),
        (("admin",), "POST", "/api/models/penguins/promote", 200),
    ],
)
@pytest.mark.parametrize("who", ["owner", "uploader"])
def test_it_does_what_user_and_scopes_allow(
    penguins: ModelVersion, owner: User, uploader: User, who: str,
    scopes: tuple[str, ...], method: str, url: str, status: int,
) -> None:  # fmt: skip
    secret = secret_of({"owner": owner, "uploader": uploader}[who], *scopes)
    body = {"tag": "1.0", "size_bytes": 10} if url != URL else RECORD

    response = Program().generic(method, url, _json(body), content_type="application/json", **bearer(secret))

    assert response.status_code == status, response.content
    if status == 403:
        lacking = {URL: "predict", "/api/uploads": "upload"}.get(url, "admin")
        assert f"lacks the scope {lacking}" in response.json()["detail"]


def _json(body: dict[str, Any]) -> str:
    return json.dumps(body)


def test_it_gives_no_token_a_permission_that_the_user_lacks(penguins: ModelVersion, reader: User) -> None:
    secret = secret_of(reader, "admin")

    response = Program().post("/api/models/penguins/promote", {"tag": "1.0"}, **bearer(secret))

    assert response.status_code == 403
    assert "lacks the permission registry.change_modelversion" in response.json()["detail"]


@pytest.mark.parametrize(("scope", "status", "listed"), [("predict", 404, 0), ("admin", 200, 1)])
def test_it_shows_everybodys_predictions_to_staff_with_admin_only(
    private: ModelVersion, owner: User, reader: User, scope: str, status: int, listed: int
) -> None:
    others = Program().post(URL, RECORD, format="json", **bearer(secret_of(reader, "predict"))).json()
    secret = secret_of(owner, scope)

    assert Program().get(others["url"], **bearer(secret)).status_code == status
    assert len(Program().get(URL, **bearer(secret)).json()["results"]) == listed


def test_it_never_saves_the_user_of_a_token(reader: User) -> None:
    with pytest.raises(TypeError, match="fewer rights"):
        TokenUser(pk=reader.pk).save()


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"scopes": []}, "scope is empty"),
        ({"scopes": ["predict", "all"]}, "scope is all; allowed is predict, upload, admin"),
        ({"days": 0}, "days is 0"),
        ({"days": 366}, "1 to 365 days"),
        ({"name": " "}, "name: give the token a name"),
        ({"name": "x" * 101}, "name: give"),
    ],
)
def test_it_makes_none_that_makes_no_sense(reader: User, wrong: dict[str, Any], sentence: str) -> None:
    asked: dict[str, Any] = {"name": "x", "scopes": ["predict"], "days": 1, **wrong}

    with pytest.raises(BadParameter, match=sentence):
        make_token(reader, created_by="", **asked)
    assert not ApiToken.objects.exists()


def test_it_makes_endless_ones_when_asked(reader: User) -> None:
    secret_of(reader, *SCOPES, days=None)

    token = ApiToken.objects.get()
    assert (token.expiry, token.state(), token.scope_names) == (None, "active", tuple(SCOPES))
