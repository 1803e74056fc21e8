"""The API's short chain of middleware for programs: the same answers as the whole one, which any cookie leads to."""

import base64
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import RequestFactory
from rest_framework.permissions import IsAuthenticated
from rest_framework.test import APIClient, ForceAuthClientHandler
from rest_framework.throttling import AnonRateThrottle

from mlserve.http.handlers import ShortChain, is_program
from predictions import tasks
from predictions.api.views import PredictionViewSet
from predictions.models import Prediction
from registry.models import ModelVersion

pytestmark = pytest.mark.django_db

URL = "/api/predict"
UNKNOWN = "01936f5e-0000-7000-8000-000000000000"
RECORD = {"island": "Biscoe", "year": 2007}
# The headers that callers act on.
HEADERS = ("Content-Type", "Location", "Retry-After", "Preference-Applied", "WWW-Authenticate", "Allow")
# The parts that differ between two predictions of the same rows: ids, times and durations.
_CHANGING = re.compile(r'[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{4}-\d\d-\d\dT[0-9:.]+Z|(?<=_seconds":)[0-9.e-]+')

Ask = Callable[[APIClient], Any]


def comparable(response: Any) -> dict[str, Any]:
    """Status, body and headers, without what changes at each request."""
    headers = {name: response.headers.get(name, "") for name in HEADERS}
    return {
        "status": response.status_code,
        "body": _CHANGING.sub("…", response.content.decode()),
        "vary": {name.strip() for name in response.headers.get("Vary", "").split(",")} - {"Cookie", ""},
        **{name: _CHANGING.sub("…", value) for name, value in headers.items()},
    }


class _ShortHandler(ShortChain, ForceAuthClientHandler):
    """The short chain of middleware, driven by a client of Django's."""


class Program(APIClient):
    """Its requests meet the short chain. Django's clients send an empty Cookie header, programs none."""

    def __init__(self, **defaults: Any) -> None:
        super().__init__(**defaults)
        self.handler = _ShortHandler(enforce_csrf_checks=True)

    def _base_environ(self, **request: Any) -> dict[str, Any]:
        environ: dict[str, Any] = super()._base_environ(**request)  # type: ignore[misc]  # the stubs lack it
        if not environ["HTTP_COOKIE"]:
            del environ["HTTP_COOKIE"]
        return environ


def browser() -> APIClient:
    """Its requests meet the whole chain of middleware, although no user is signed in."""
    client = APIClient()
    client.cookies["theme"] = "dark"
    return client


def asked(method: str, url: str, body: Any = None, **headers: str) -> Ask:
    data: Any = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    content_type = headers.pop("content_type", "application/json")

    def ask(client: APIClient) -> Any:
        return client.generic(method, url, data, content_type=content_type, headers=headers)

    return ask


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


AS_READER, AS_OWNER = basic("reader", "reader-password"), basic("owner", "owner-password")
CASES = {
    "submit": asked("POST", URL, RECORD),
    "submit several": asked("POST", f"{URL}?outputs=predict,predict_proba", [RECORD, RECORD]),
    "submit to a model": asked("POST", "/api/models/penguins/predict", RECORD),
    "submit to a version": asked("POST", "/api/models/penguins/versions/1.0/predict", RECORD),
    "submit with a preference": asked("POST", URL, RECORD, Prefer="wait=0"),
    "submit signed in": asked("POST", URL, RECORD, Authorization=AS_READER),
    "accept anything": asked("POST", URL, RECORD, Accept="*/*"),
    "accept json": asked("POST", URL, RECORD, Accept="application/json"),
    "wrong password": asked("POST", URL, RECORD, Authorization=basic("reader", "guess")),
    "unknown scheme": asked("POST", URL, RECORD, Authorization="Bearer abc"),
    "broken credentials": asked("POST", URL, RECORD, Authorization="Basic !"),
    "not json": asked("POST", URL, b"island=Biscoe"),
    "empty": asked("POST", URL),
    "nan": asked("POST", URL, b'{"year": NaN}'),
    "invalid rows": asked("POST", URL, [RECORD, {"island": "Bisco", "colour": 1}]),
    "unknown output": asked("POST", f"{URL}?outputs=nonsense", RECORD),
    "unknown model": asked("POST", "/api/models/unknown/predict", RECORD),
    "unknown version": asked("POST", "/api/models/penguins/versions/9/predict", RECORD),
    "csv": asked("POST", URL, b"island,year\nBiscoe,2007\n", content_type="text/csv"),
    "broken csv": asked("POST", URL, b"island,year\nBiscoe\n", content_type="text/csv"),
    "unknown encoding": asked("POST", URL, RECORD, **{"Content-Encoding": "br"}),
    "broken encoding": asked("POST", URL, RECORD, **{"Content-Encoding": "gzip"}),
    "unknown parameter": asked("POST", f"{URL}?output=predict", RECORD),
    "unknown address": asked("POST", "/api/predictt", RECORD),
    "other type": asked("POST", URL, b"island=Biscoe", content_type="application/x-www-form-urlencoded"),
    "no type": asked("POST", URL, b"island=Biscoe", content_type=""),
    "list": asked("GET", URL),
    "list signed in": asked("GET", URL, Authorization=AS_READER),
    "list by nonsense": asked("GET", f"{URL}?status=nonsense"),
    "list from nowhere": asked("GET", f"{URL}?cursor=nonsense"),
    "unknown prediction": asked("GET", f"{URL}/{UNKNOWN}"),
    "cancel unknown": asked("POST", f"{URL}/{UNKNOWN}/cancel"),
    "head": asked("HEAD", URL),
    "options": asked("OPTIONS", URL),
    "method not allowed": asked("DELETE", URL),
    "unknown method": asked("BREW", URL),
    "not acceptable": asked("GET", URL, Accept="application/xml"),
    "format": asked("GET", f"{URL}?format=json"),
    "unknown format": asked("GET", f"{URL}?format=xml"),
    "models": asked("GET", "/api/models"),
    "promote": asked("POST", "/api/models/penguins/promote", {"tag": "1.0"}, Authorization=AS_OWNER),
    "promote without account": asked("POST", "/api/models/penguins/promote", {"tag": "1.0"}),
}


@pytest.mark.parametrize("case", CASES)
def test_it_answers_the_same_on_either_way(penguins: ModelVersion, reader: User, owner: User, case: str) -> None:
    ask = CASES[case]
    response = ask(Program())

    assert comparable(response) == comparable(ask(browser()))
    assert "Cookie" in response.headers["Vary"]  # with one it would have met the other chain
    assert case == "head" or int(response.headers["Content-Length"]) == len(response.content)


def test_it_answers_the_same_about_one_prediction(penguins: ModelVersion) -> None:
    """At each step of its life: waiting, canceled, and canceled once more, which is refused."""
    clients = [Program(), browser()]
    urls = [asked("POST", URL, RECORD)(client).json()["url"] for client in clients]

    statuses = []
    for method, suffix in (("GET", ""), ("HEAD", ""), ("POST", "/cancel"), ("POST", "/cancel"), ("GET", "")):
        pairs = zip(clients, urls, strict=True)
        short, long = [asked(method, url + suffix)(client) for client, url in pairs]
        assert comparable(short) == comparable(long)
        statuses.append(short.status_code)
    assert statuses == [200, 200, 200, 409, 200]


def test_it_answers_the_same_about_results(penguins: ModelVersion) -> None:
    for rows in (RECORD, [RECORD, {**RECORD, "body_mass_g": 8999}]):
        url = asked("POST", f"{URL}?outputs=predict_proba", rows)(Program()).json()["url"]
        tasks.drain()

        short, long = asked("GET", url)(Program()), asked("GET", url)(browser())
        assert short.json()["status"] == "succeeded"
        assert short.content == long.content
        assert comparable(short) == comparable(long)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_it_answers_the_same_to_callers_that_wait(penguins: ModelVersion, method: str) -> None:
    short, long = (asked("POST", URL, RECORD, Prefer="wait=20")(client) for client in (Program(), browser()))
    if method == "GET":
        url = short.json()["url"]
        short, long = (asked("GET", url, Prefer="wait=20")(client) for client in (Program(), browser()))

    assert (short.status_code, short.headers["Preference-Applied"]) == (200, "wait=20")
    assert comparable(short) == comparable(long)


def test_it_lists_for_strangers_only_where_that_is_allowed(penguins: ModelVersion, settings: Any) -> None:
    settings.MLSERVE_ANONYMOUS_HISTORY = False
    short, long = asked("GET", URL)(Program()), asked("GET", URL)(browser())

    assert (short.status_code, short.headers["WWW-Authenticate"]) == (401, 'Basic realm="api", Bearer realm="api"')
    assert comparable(short) == comparable(long)


def test_it_knows_who_submits(penguins: ModelVersion, reader: User) -> None:
    response = asked("POST", URL, RECORD, Authorization=AS_READER)(Program())

    assert response.status_code == 202
    assert Prediction.objects.get().owner == reader


def test_it_says_no_to_a_wrong_password_although_strangers_are_welcome(penguins: ModelVersion, reader: User) -> None:
    response = asked("POST", URL, RECORD, Authorization=basic("reader", "guess"))(Program())

    assert response.status_code == 401
    assert not Prediction.objects.exists()


@pytest.mark.parametrize("client", [Program, browser], ids=["short", "long"])
def test_it_makes_a_problem_of_an_unexpected_exception(
    penguins: ModelVersion, client: Callable[[], APIClient], monkeypatch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr("predictions.api.views.submit", fail)
    response = asked("POST", URL, RECORD)(client())

    assert response.status_code == 500
    assert response.headers["Content-Type"] == "application/problem+json"
    assert "secret" not in response.content.decode()
    assert "secret detail" in caplog.text


@pytest.mark.parametrize("client", [Program, browser], ids=["short", "long"])
def test_it_asks_for_permission(
    penguins: ModelVersion, reader: User, client: Callable[[], APIClient], monkeypatch: Any
) -> None:
    monkeypatch.setattr(PredictionViewSet, "permission_classes", [IsAuthenticated])

    assert asked("POST", URL, RECORD)(client()).status_code == 401
    assert not Prediction.objects.exists()
    assert asked("POST", URL, RECORD, Authorization=AS_READER)(client()).status_code == 202


class OncePerMinute(AnonRateThrottle):
    rate = "1/min"


@pytest.mark.parametrize("client", [Program, browser], ids=["short", "long"])
def test_it_throttles(penguins: ModelVersion, client: Callable[[], APIClient], monkeypatch: Any) -> None:
    monkeypatch.setattr(PredictionViewSet, "throttle_classes", [OncePerMinute])
    first, second = asked("POST", URL, RECORD)(client()), asked("POST", URL, RECORD)(client())

    assert (first.status_code, second.status_code) == (202, 429)
    assert 1 <= int(second.headers["Retry-After"]) <= 60
    assert second.json()["type"].endswith("/problems/too-many-requests")


def test_it_shows_a_browser_the_browsable_api(penguins: ModelVersion) -> None:
    for url in (URL, f"{URL}?format=api", "/api/models"):
        response = asked("GET", url, Accept="text/html,application/xhtml+xml,*/*;q=0.8")(Program())

        assert response.status_code == 200
        assert response.headers["Content-Type"].startswith("text/html")
        assert "Django REST framework" in response.content.decode()


@pytest.mark.parametrize(
    ("query", "headers", "expected"),
    [
        ("", {}, True),
        ("", {"Accept": "*/*"}, True),
        ("", {"Accept": "application/json"}, True),
        ("outputs=predict", {"Authorization": AS_READER}, True),
        ("", {"Accept": "text/html"}, False),
        ("", {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}, False),
        ("", {"Accept": "text/html,application/json;q=0.9"}, True),
        ("", {"Accept": "application/xml"}, True),
        ("", {"Cookie": ""}, True),
        ("", {"Cookie": "sessionid=abc"}, False),
        ("", {"Cookie": "theme=dark", "Accept": "application/json"}, False),
        ("format=api", {}, False),
        ("outputs=predict&format=json", {"Accept": "*/*"}, False),
    ],
)
def test_it_tells_programs_from_browsers(query: str, headers: dict[str, str], expected: bool) -> None:
    request = RequestFactory().get(f"{URL}?{query}", headers=headers)
    if not request.META["HTTP_COOKIE"]:
        del request.META["HTTP_COOKIE"]

    assert is_program(request.META) is expected
