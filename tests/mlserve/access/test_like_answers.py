"""A stranger cannot tell what is private from what does not exist: same status, body, headers and statements."""

import difflib
import itertools
import re
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from mlserve.access.tokens import make_token
from predictions.models import Prediction
from registry.models import DirectUpload, Model, ModelVersion
from registry.publishing import lookup
from registry.uploads.sender import open_upload
from tests.mlserve.http.test_both_chains import RECORD, URL, Program, basic, browser

pytestmark = pytest.mark.django_db

_CSRF = re.compile(
    r'(?<=name="csrfmiddlewaretoken" value=")[^"]+|(?<="csrfToken": ")[^"]+|nonce="[^"]*"|nonce-[\w+/=-]+'
)
# Headers in which all answers differ: they name the request.
_CHANGING = ("X-Request-ID", "Set-Cookie", "Date", "Expires", "Content-Security-Policy")

# Answered to all callers, with nothing in it.
_OPEN = {"options", "list of a model", "list of a version", "list from a prediction"}

Ask = Callable[[Any, str], Any]


@pytest.fixture
def secret(penguins: ModelVersion, publish_penguins: Any, owner: User, reader: User) -> Iterator[dict[str, str]]:
    """What a stranger must not find, and the same that does not exist, by the name of the thing in an address."""
    publish_penguins("9.0", model="sealed")  # without a live version
    Model.objects.update(is_public=False)
    api: Any = Program().post
    token = make_token(reader, name="t", scopes=["predict"], days=1, created_by="")[1]
    assert api(URL, RECORD, HTTP_AUTHORIZATION=f"Bearer {token}").status_code == 202
    lookup.forget_all()
    yield {
        "model": "penguins",
        "sealed": "sealed",
        "tag": "1.0",
        "prediction": str(Prediction.objects.get().pk),
        "upload": str(open_upload(owner, size_bytes=10).pk),
        "pk": str(Model.objects.get(name="penguins").pk),
    }
    assert DirectUpload.objects.get().status == "open"


ABSENT = {
    "model": "pelicans",
    "sealed": "cealed",
    "tag": "7.7",
    "pk": "999999",
    "prediction": "01936f5e-0000-7000-8000-000000000000",
    "upload": "01936f5e-0000-7000-8000-000000000001",
}


def asked(method: str, url: str, body: str | None = None, **headers: str) -> tuple[str, Ask]:
    def ask(client: Any, address: str) -> Any:
        kind = headers.get("content_type", "application/json")
        rest = {name: value for name, value in headers.items() if name != "content_type"}
        return client.generic(method, address, body or "", content_type=kind, **rest)

    return url, ask


VALID = '{"island": "Biscoe", "year": 2007}'
FOR_PROGRAMS = {
    "model": asked("GET", "/api/models/{model}"),
    "model without a live version": asked("GET", "/api/models/{sealed}"),
    "schema": asked("GET", "/api/models/{model}/schema"),
    "versions": asked("GET", "/api/models/{model}/versions"),
    "version": asked("GET", "/api/models/{model}/versions/{tag}"),
    "promote": asked("POST", "/api/models/{model}/promote", '{"tag": "1.0"}'),
    "rollback": asked("POST", "/api/models/{model}/rollback"),
    "retire": asked("POST", "/api/models/{model}/retire"),
    "upload a version": asked("POST", "/api/models/{model}/versions"),
    "predict": asked("POST", "/api/models/{model}/predict", VALID),
    "predict without a live version": asked("POST", "/api/models/{sealed}/predict", VALID),
    "predict by tag": asked("POST", "/api/models/{model}/versions/{tag}/predict", VALID),
    "predict what does not fit": asked("POST", "/api/models/{model}/predict", '{"colour": 1}'),
    "predict no json": asked("POST", "/api/models/{model}/predict", "{"),
    "predict another type": asked("POST", "/api/models/{model}/predict", "a=1", content_type="text/plain"),
    "predict something huge": asked("POST", "/api/models/{model}/predict", "[" * 6 * 2**20),
    "predict an unknown output": asked("POST", "/api/models/{model}/predict?outputs=x", VALID),
    "predict and wait": asked("POST", "/api/models/{model}/predict", VALID, HTTP_PREFER="wait=5"),
    "options": asked("OPTIONS", "/api/models/{model}/predict"),
    "delete": asked("DELETE", "/api/models/{model}"),
    "prediction": asked("GET", "/api/predict/{prediction}"),
    "prediction, waited for": asked("GET", "/api/predict/{prediction}", HTTP_PREFER="wait=5"),
    "cancel": asked("POST", "/api/predict/{prediction}/cancel"),
    "list of a model": asked("GET", "/api/predict?model={model}"),
    "list of a version": asked("GET", "/api/predict?model={model}&version={tag}"),
    "list from a prediction": asked("GET", "/api/predict?cursor={prediction}"),
    "upload": asked("GET", "/api/uploads/{upload}"),
    "abandon an upload": asked("DELETE", "/api/uploads/{upload}"),
    "addresses of parts": asked("POST", "/api/uploads/{upload}/parts", '{"numbers": [1]}'),
    "send a part": asked("PUT", "/api/uploads/{upload}/parts/1", "0123456789"),
    "submit an upload": asked("POST", "/api/models/{model}/versions", '{"upload": "{upload}"}'),
}
FOR_PEOPLE = {
    "page": asked("GET", "/models/{model}"),
    "page without a live version": asked("GET", "/models/{sealed}"),
    "page with an example": asked("GET", "/models/{model}?example"),
    "page with an earlier record": asked("GET", "/models/{model}?from={prediction}"),
    "form": asked("POST", "/models/{model}", "year=2007", content_type="application/x-www-form-urlencoded"),
    "permalink": asked("GET", "/predictions/{prediction}"),
    "browsable model": asked("GET", "/api/models/{model}", HTTP_ACCEPT="text/html"),
    "browsable prediction": asked("GET", "/api/predict/{prediction}", HTTP_ACCEPT="text/html"),
}


def seen(response: Any, names: dict[str, str]) -> dict[str, Any]:
    """All that a client can see, with the names it sent made alike."""

    def alike(text: str) -> str:
        text = _CSRF.sub("", text)
        for thing, name in names.items():
            text = text.replace(f"/{name}/" if thing == "pk" else name, f"<{thing}>")
        return text

    headers = {name: alike(response.headers[name]) for name in response.headers if name not in _CHANGING}
    headers.pop("Content-Length", None)  # the names' own
    return {"status": response.status_code, "content": alike(response.content.decode()), "headers": headers}


def differences(client: Callable[[], Any], cases: dict[str, tuple[str, Ask]], secret: dict[str, str]) -> dict[str, Any]:
    """The cases in which a caller could tell what is hidden from what is absent, and by what.

    Both are asked twice: what a process has not looked at yet may cost more than what it has.
    """
    found: dict[str, Any] = {}
    for case, (url, ask) in cases.items():
        lookup.forget_all()
        answers, statements = [], []
        for names in (secret, ABSENT, secret, ABSENT):
            with CaptureQueriesContext(connection) as queries:
                response = ask(client(), _filled(url, names))
            answers.append(seen(response, names))
            statements.append(len(queries))
        if any(answer != answers[0] for answer in answers[1:]) or len(set(statements)) > 1:
            hidden, absent = (str(each).split(",") for each in answers[:2])
            found[case] = (statements, *difflib.unified_diff(hidden, absent, n=0))
        assert answers[0]["status"] in (302, 401, 403, 404, 405) or case in _OPEN
        assert "penguins" not in str(answers[0])
    return found


def _filled(url: str, names: dict[str, str]) -> str:
    for thing, name in names.items():
        url = url.replace(f"{{{thing}}}", name)
    return url


@pytest.mark.parametrize("client", [Program, browser], ids=["short", "long"])
def test_it_tells_strangers_nothing_at_the_api(secret: dict[str, str], client: Any) -> None:
    assert differences(client, FOR_PROGRAMS, secret) == {}


def test_it_tells_strangers_nothing_on_pages(secret: dict[str, str]) -> None:
    assert differences(Client, FOR_PEOPLE, secret) == {}


@pytest.mark.parametrize("scope", ["predict", "upload"])
def test_it_tells_other_accounts_nothing(secret: dict[str, str], scope: str) -> None:
    other = User.objects.create_user("other", is_staff=True)
    other.user_permissions.set(Permission.objects.filter(content_type__app_label="registry"))
    token = make_token(other, name="t", scopes=[scope], days=1, created_by="")[1]

    class WithToken(Program):
        def generic(self, *args: Any, **kwargs: Any) -> Any:
            return super().generic(*args, HTTP_AUTHORIZATION=f"Bearer {token}", **kwargs)

    WithToken().generic("GET", "/api/models")  # notes the use of the token
    cases = {case: FOR_PROGRAMS[case] for case in FOR_PROGRAMS if "{prediction}" in FOR_PROGRAMS[case][0]}
    cases |= {case: FOR_PROGRAMS[case] for case in FOR_PROGRAMS if "{upload}" in FOR_PROGRAMS[case][0]}
    assert differences(WithToken, cases, secret) == {}


ADMIN = {
    place: asked("GET", f"/admin/{place}")
    for place in (
        "registry/model/{pk}/change/", "registry/model/{pk}/make-default/", "registry/modelversion/{pk}/change/",
        "registry/modelversion/{pk}/promote/", "registry/modelversion/{pk}/compare/",
        "predictions/prediction/{prediction}/change/", "registry/directupload/{upload}/change/",
        "mlserve/apitoken/{pk}/change/",
    )
}  # fmt: skip


@pytest.mark.parametrize("who", ["stranger", "reader", "clerk"])
def test_it_tells_nothing_in_the_admin(secret: dict[str, str], reader: User, who: str) -> None:
    """Except for the statements: Django's admin looks for a row before it asks who may see it, and answers the same."""
    clients = Client()
    if who == "clerk":
        clients.force_login(User.objects.create_user("clerk", is_staff=True))
    elif who == "reader":
        clients.force_login(reader)

    found = differences(lambda: clients, ADMIN, secret)
    assert {case: difference[1:] for case, difference in found.items() if difference[1:]} == {}


def test_it_names_no_private_model(secret: dict[str, str]) -> None:
    for url in ("/", "/api/schema", "/api/models", "/api/predict", "/api/docs", "/login", "/nothing", "/readyz"):
        for client in (Program(), browser(), Client()):
            content = client.get(url).content.decode()
            assert "penguins" not in content, url
            assert "sealed" not in content, url


def test_it_tells_nothing_by_the_default_model(secret: dict[str, str]) -> None:
    """POST /api/predict, where the default model is private and where there is none at all."""
    url, ask = asked("POST", URL, VALID)
    hidden = seen(ask(Program(), url), secret)
    Prediction.objects.all().delete()
    ModelVersion.objects.all().delete()
    Model.objects.all().delete()

    assert hidden == seen(ask(Program(), url), secret)


def test_it_takes_about_as_long(secret: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """Printed only: a shared machine is no place to compare microseconds."""
    for case in ("prediction", "predict", "model"):
        url, ask = FOR_PROGRAMS[case]
        seconds: dict[str, list[float]] = {"hidden": [], "absent": []}
        for _, (kind, names) in itertools.product(range(40), (("hidden", secret), ("absent", ABSENT))):
            began = time.perf_counter()
            ask(Program(), url.format(**names))
            seconds[kind].append(time.perf_counter() - began)
        medians = {kind: f"{statistics.median(values) * 1e3:.2f} ms" for kind, values in seconds.items()}
        with capsys.disabled():
            print(f"\n{case}: {medians}")


def test_it_takes_as_long_for_names_that_do_not_exist(owner: User, capsys: pytest.CaptureFixture[str]) -> None:
    """A password is hashed once, whether there is such an account or not; printed only."""
    for name in ("owner", "nobody"):
        began = time.perf_counter()
        Program().get("/api/models", HTTP_AUTHORIZATION=basic(name, "guess"))
        with capsys.disabled():
            print(f"\n{name}: {(time.perf_counter() - began) * 1e3:.0f} ms")
