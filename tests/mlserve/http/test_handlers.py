"""Sessions, their protection and their messages where a browser needs them, and nothing of it elsewhere."""

import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.util import is_hop_by_hop
from wsgiref.validate import validator

import httpx
import pytest
from django.contrib.auth.models import User
from django.test import Client
from rest_framework.test import APIClient

from mlserve.access.tokens import make_token
from mlserve.http.handlers import Application
from mlserve.observability import logs
from predictions.models import Prediction
from registry.models import Model, ModelVersion

pytestmark = pytest.mark.django_db

URL = "/api/predict"
RECORD = {"island": "Biscoe", "year": 2007}
_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


@pytest.fixture
def strict() -> APIClient:
    """A browser of whom forms without a token are refused, as outside of tests."""
    return APIClient(enforce_csrf_checks=True)


@pytest.fixture
def signed_in(strict: APIClient, reader: User) -> APIClient:
    assert strict.login(username="reader", password="reader-password")
    return strict


def token_of(client: APIClient, page: str = "/models/penguins") -> str:
    match = _TOKEN.search(client.get(page).content.decode())
    assert match
    return match[1]


def test_it_knows_who_is_signed_in(signed_in: APIClient, penguins: ModelVersion) -> None:
    Model.objects.update(is_public=False)

    assert APIClient().get("/api/models/penguins").status_code == 404
    assert signed_in.get("/api/models/penguins").status_code == 200


def test_it_lets_a_session_submit_with_its_token(signed_in: APIClient, penguins: ModelVersion, reader: User) -> None:
    response = signed_in.post(URL, RECORD, headers={"X-CSRFToken": token_of(signed_in)})

    assert response.status_code == 202
    assert Prediction.objects.get().owner == reader


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html"])
def test_it_refuses_a_session_without_its_token(signed_in: APIClient, penguins: ModelVersion, accept: str) -> None:
    """Another site can let a browser send this; what it accepts must make no difference."""
    response = signed_in.post(URL, RECORD, headers={"Accept": accept})

    assert response.status_code == 403
    assert "CSRF" in response.content.decode()
    assert not Prediction.objects.exists()


@pytest.mark.parametrize("url", [f"/api/models/penguins/{act}" for act in ("promote", "rollback", "retire")])
def test_it_refuses_a_session_without_its_token_to_change_models(
    strict: APIClient, owner: User, penguins: ModelVersion, url: str
) -> None:
    strict.force_login(owner)

    assert strict.post(url, {"tag": "1.0"}).status_code == 403


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html"])
@pytest.mark.parametrize("url", ["/models/penguins", "/login", "/logout", "/admin/login/"])
def test_it_protects_pages_whatever_they_are_asked_for(
    strict: APIClient, penguins: ModelVersion, url: str, accept: str
) -> None:
    response = strict.post(url, {"island": "Biscoe"}, format="multipart", headers={"Accept": accept})

    assert response.status_code == 403


def test_it_lets_a_page_submit_with_its_token(penguins: ModelVersion, penguin: dict[str, Any], settings: Any) -> None:
    settings.MLSERVE_MAX_WAIT = 0
    client = APIClient(enforce_csrf_checks=True)

    response = client.post("/models/penguins", {**penguin, "csrfmiddlewaretoken": token_of(client)}, format="multipart")

    assert response.status_code in (200, 302)
    assert Prediction.objects.count() == 1


def test_it_needs_no_token_from_programs(reader: User, strict: APIClient, penguins: ModelVersion) -> None:
    strict.credentials(HTTP_AUTHORIZATION="Basic cmVhZGVyOnJlYWRlci1wYXNzd29yZA==")

    assert strict.post(URL, RECORD).status_code == 202
    assert strict.get("/api/models").status_code == 200
    assert Prediction.objects.get().owner == reader


def test_it_signs_no_user_in_by_a_forged_session(penguins: ModelVersion, api: APIClient) -> None:
    Model.objects.update(is_public=False)
    api.cookies["sessionid"] = "0123456789abcdef0123456789abcdef"

    assert api.get("/api/models/penguins").status_code == 404


@pytest.mark.parametrize("url", ["/api/models", URL, "/api/models/unknown", "/api/nothing"])
def test_it_gives_programs_no_cookie(penguins: ModelVersion, api: APIClient, url: str) -> None:
    response = api.get(url)

    assert not response.cookies


def test_it_keeps_what_protects_pages_from_frames(penguins: ModelVersion, api: APIClient) -> None:
    for url in ("/api/models", URL, "/models/penguins"):
        headers = api.get(url).headers
        assert (headers["X-Frame-Options"], headers["X-Content-Type-Options"]) == ("DENY", "nosniff")


@pytest.mark.parametrize(
    ("url", "accept"),
    [("/api/docs", "*/*"), ("/api/docs", "text/html"), ("/api/schema", "*/*"), ("/api/schema", "application/json")],
)
def test_it_serves_the_documentation_to_all_callers(
    client: Client, penguins: ModelVersion, url: str, accept: str
) -> None:
    assert client.get(url, headers={"Accept": accept}).status_code == 200


def test_it_greets_after_signing_in_and_keeps_the_session(signed_in: APIClient, penguins: ModelVersion) -> None:
    assert "Sign out" in signed_in.get("/").content.decode()
    assert signed_in.post("/logout", headers={"X-CSRFToken": token_of(signed_in)}).status_code == 302
    assert "Sign out" not in signed_in.get("/").content.decode()


def test_it_shows_messages_in_the_admin(client: Client, owner: User) -> None:
    client.force_login(owner)

    response = client.post("/admin/auth/group/add/", {"name": "birds"}, follow=True)

    assert "was added successfully" in response.content.decode()


@pytest.fixture
def browse(transactional_db: None) -> Iterator[Callable[..., httpx.Client]]:
    """`browse()` is a client of the WSGI application itself, with the cookies that it is given and gets."""
    application, clients = Application(), []

    def to_application(**cookies: str) -> httpx.Client:
        transport = httpx.WSGITransport(app=application)
        clients.append(httpx.Client(transport=transport, base_url="http://testserver", cookies=cookies))
        return clients[-1]

    yield to_application
    for client in clients:
        client.close()


SECURITY_HEADERS = ("X-Frame-Options", "X-Content-Type-Options", "Referrer-Policy", "Cross-Origin-Opener-Policy")


@pytest.mark.parametrize(
    ("method", "url"),
    [("GET", "/api/models"), ("GET", URL), ("POST", URL), ("GET", f"{URL}/unknown"), ("GET", "/api/nothing"),
     ("GET", "/api/schema"), ("DELETE", URL), ("GET", "/healthz"), ("GET", "/models/penguins")],
)  # fmt: skip
def test_it_answers_the_same_by_either_chain(
    browse: Callable[..., httpx.Client], penguins: ModelVersion, method: str, url: str
) -> None:
    plain = {"Accept-Encoding": "identity"}  # what is compressed has some random bytes
    short, whole = (client.request(method, url, headers=plain) for client in (browse(), browse(theme="dark")))

    assert (short.status_code, short.headers["Content-Type"]) == (whole.status_code, whole.headers["Content-Type"])
    assert _TOKEN.sub("", short.text) == _TOKEN.sub("", whole.text)
    assert [short.headers.get(name) for name in SECURITY_HEADERS] == [
        whole.headers.get(name) for name in SECURITY_HEADERS
    ]
    assert short.headers["Content-Length"] == whole.headers["Content-Length"] == str(len(short.content))


def test_it_reads_chunks_by_either_chain(
    browse: Callable[..., httpx.Client], penguins: ModelVersion, penguin: dict[str, Any]
) -> None:
    text = json.dumps(penguin).encode()
    for client in (browse(), browse(theme="dark")):
        assert client.post(URL, content=iter([text[:9], text[9:]])).status_code == 202


@pytest.mark.parametrize(
    ("method", "content_type", "coding"),
    [("POST", "multipart/form-data; boundary=x", "chunked"), ("POST", "application/json", "gzip, chunked"),
     ("PUT", "", "chunked"), ("PUT", "application/octet-stream", "chunked")],
)  # fmt: skip
def test_it_refuses_other_chunks_by_either_chain(
    browse: Callable[..., httpx.Client], penguins: ModelVersion, method: str, content_type: str, coding: str
) -> None:
    headers = {"Content-Type": content_type, "Transfer-Encoding": coding}
    for client in (browse(), browse(theme="dark")):
        response = client.request(method, URL, content=iter([b"{}"]), headers=headers)

        assert response.status_code == 411
        assert response.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("cookies", [{}, {"theme": "dark"}], ids=["short", "long"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_it_redirects_no_body_to_https(
    penguins: ModelVersion, transactional_db: None, settings: Any, method: str, cookies: dict[str, str]
) -> None:
    """A client would follow a 301 with a GET."""
    settings.SECURE_SSL_REDIRECT = True

    response = browse_secured(method, cookies)

    assert response.status_code == 403
    assert response.json()["type"].endswith("/problems/https-required")
    assert f"Send it to https://testserver{URL}." in response.json()["detail"]
    assert "secret" not in response.json()["detail"]


@pytest.mark.parametrize("cookies", [{}, {"theme": "dark"}], ids=["short", "long"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_it_redirects_readers_to_https(
    penguins: ModelVersion, transactional_db: None, settings: Any, method: str, cookies: dict[str, str]
) -> None:
    settings.SECURE_SSL_REDIRECT = True

    response = browse_secured(method, cookies)

    assert (response.status_code, response.headers["Location"]) == (301, f"https://testserver{URL}?token=secret")


def browse_secured(method: str, cookies: dict[str, str]) -> httpx.Response:
    """The answer over plain HTTP of an application that reads the setting anew."""
    transport = httpx.WSGITransport(app=Application())
    with httpx.Client(transport=transport, base_url="http://testserver", cookies=cookies) as client:
        return client.request(method, f"{URL}?token=secret")


@pytest.fixture
def by_the_rules(transactional_db: None) -> Iterator[httpx.Client]:
    """A client of the WSGI application that lets nothing pass which PEP 3333 forbids either side."""
    application: Callable[..., Iterable[bytes]] = validator(Application())

    def checked(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            assert not [name for name, _ in headers if is_hop_by_hop(name)]  # which the validator lets pass
            return start_response(status, headers, *more)

        return application(environ, start)

    with httpx.Client(transport=httpx.WSGITransport(app=checked), base_url="http://testserver") as client:
        yield client


@pytest.mark.parametrize(
    ("method", "url", "status"),
    [("GET", "/", 200), ("GET", "/models/penguins", 200), ("HEAD", "/models/penguins", 200), ("GET", "/login", 200),
     ("GET", "/admin/", 302), ("GET", "/favicon.ico", 302), ("GET", "/static/mlserve/favicon.svg", 200),
     ("GET", "/healthz", 200), ("GET", "/metrics", 200), ("GET", "/nothing", 404), ("POST", "/login", 403),
     ("GET", "/api/docs", 200), ("GET", "/api/schema", 200), ("GET", "/api/models", 200), ("HEAD", "/api/models", 200),
     ("OPTIONS", "/api/models", 200), ("GET", URL, 200), ("DELETE", URL, 405), ("GET", "/api/nothing", 404),
     ("GET", "/api/predict/export", 401), ("POST", "/api/models/penguins/versions", 401)],
)  # fmt: skip
def test_it_keeps_to_the_rules_of_wsgi(
    by_the_rules: httpx.Client, penguins: ModelVersion, method: str, url: str, status: int
) -> None:
    assert by_the_rules.request(method, url).status_code == status
    assert by_the_rules.request(method, url, headers={"Cookie": "theme=dark"}).status_code == status


def test_it_keeps_to_the_rules_of_wsgi_about_predictions(
    by_the_rules: httpx.Client, penguins: ModelVersion, penguin: dict[str, Any]
) -> None:
    accepted = by_the_rules.post(URL, json=penguin)
    url = accepted.json()["url"]
    answers = [
        accepted, by_the_rules.post(URL, json=penguin, headers={"Prefer": "wait=20"}), by_the_rules.get(url),
        by_the_rules.post(f"{url}/cancel"), by_the_rules.post(f"{url}/cancel"), by_the_rules.post(URL, content=b"[{"),
    ]  # fmt: skip

    assert [answer.status_code for answer in answers] == [202, 200, 200, 200, 409, 400]


@pytest.mark.parametrize("length", ["1000000000", "1000"])
def test_it_keeps_to_the_rules_of_wsgi_when_it_refuses_what_it_has_not_read(
    by_the_rules: httpx.Client, penguins: ModelVersion, length: str
) -> None:
    headers = {"Content-Length": length, "Content-Type": "application/json"}

    assert by_the_rules.post("/api/nothing", content=b"[", headers=headers).status_code == 404


def test_it_lets_a_person_sign_in_and_use_what_is_private(
    browse: Callable[..., httpx.Client], penguins: ModelVersion, reader: User
) -> None:
    Model.objects.update(is_public=False)
    client = browse()
    assert client.get("/api/models/penguins").status_code == 404
    match = _TOKEN.search(client.get("/login").text)
    assert match
    form = {"username": "reader", "password": "reader-password", "csrfmiddlewaretoken": match[1]}

    assert client.post("/login", data=form).status_code == 302
    assert client.get("/api/models/penguins").status_code == 200
    assert client.post(URL, json=RECORD).status_code == 403  # without the token of the form
    assert client.post(URL, json=RECORD, headers={"X-CSRFToken": client.cookies["csrftoken"]}).status_code == 202
    assert Prediction.objects.get().owner == reader


def test_it_signs_a_program_in_for_each_request_alone(
    browse: Callable[..., httpx.Client], penguins: ModelVersion, reader: User
) -> None:
    Model.objects.update(is_public=False)
    client, right = browse(), httpx.BasicAuth("reader", "reader-password")
    statuses = [
        client.post(URL, json=RECORD, auth=auth).status_code
        for auth in (right, httpx.Auth(), httpx.BasicAuth("reader", "guess"), right)
    ]

    assert statuses == [202, 404, 401, 202]
    assert not client.cookies


@pytest.mark.parametrize("url", [URL, "/api/models"])
def test_it_logs_who_asked(
    browse: Callable[..., httpx.Client],
    penguins: ModelVersion,
    reader: User,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    url: str,
) -> None:
    settings.MLSERVE_ACCESS_LOG = True
    token, secret = make_token(reader, name="program", scopes=["predict"], days=1, created_by="")
    logged: list[dict[str, Any]] = []

    def note_facts(_record: logging.LogRecord) -> bool:
        logged.append(dict(logs.facts()))
        return True

    monkeypatch.setattr(logging.getLogger("mlserve.access"), "filters", [note_facts])

    browse().get(url, headers={"Authorization": f"Bearer {secret}"})
    browse().get(url, auth=httpx.BasicAuth("reader", "reader-password"))
    browse().get(url)

    asked = [{name: facts.get(name) for name in ("user", "token")} for facts in logged]
    assert asked == [
        {"user": reader.pk, "token": token.pk}, {"user": reader.pk, "token": None}, {"user": None, "token": None},
    ]  # fmt: skip
