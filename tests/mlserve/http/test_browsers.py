"""Who gets a page, and who a problem as JSON."""

from typing import Any

import pytest
from django.test import Client, RequestFactory

from mlserve.http.browsers import wants_page
from registry.models import ModelVersion

# The Accept headers that these send by themselves.
CHROMIUM = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
JAVA = "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"
RECORD = {"island": "Biscoe", "year": 2007}


@pytest.mark.parametrize(
    ("accept", "content_type", "cookie", "expected"),
    [
        (CHROMIUM, "", "", True),
        (CHROMIUM, "", "theme=dark", True),
        (CHROMIUM, "application/x-www-form-urlencoded", "", True),
        (CHROMIUM, "application/json", "theme=dark", False),
        (CHROMIUM, "application/json; charset=utf-8", "", False),
        ("TEXT/HTML", "", "", True),
        ("text/html", "", "", True),
        ("text/html, */*", "", "theme=dark", True),
        (JAVA, "", "", False),
        (JAVA, "application/json", "", False),
        ("text/html;q=0.1, application/json", "", "", False),
        ("*/*", "", "theme=dark", False),
        ("application/json", "", "", False),
        ("", "", "theme=dark", False),
    ],
)
def test_it_tells_who_wants_a_page(accept: str, content_type: str, cookie: str, expected: bool) -> None:
    headers = {"Accept": accept, "Cookie": cookie}
    request = RequestFactory().generic("POST", "/nothing", b"{}", content_type=content_type, headers=headers)

    assert wants_page(request.META) is expected


@pytest.mark.django_db
@pytest.mark.parametrize("url", ["/api/predict", "/api/predict?status=queued"])
def test_it_keeps_the_browsable_api_for_its_own_script(client: Client, penguins: ModelVersion, url: str) -> None:
    """Which sends JSON and shows the answer, and which shows forms of other methods beside a listing."""
    headers = {"Accept": "text/html; q=1.0, */*", "X-Requested-With": "XMLHttpRequest", "Cookie": "csrftoken=x"}
    sent = client.post("/api/predict", RECORD, content_type="application/json", headers=headers)
    shown = client.get(url, headers={"Accept": CHROMIUM})

    assert (sent.status_code, shown.status_code) == (202, 200)
    for response in (sent, shown):
        assert response.headers["Content-Type"].startswith("text/html")


@pytest.mark.django_db
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "BREW"])
@pytest.mark.parametrize(
    "path",
    [
        "/predict",
        "/v1/predict",
        "//api/predict",
        "/api",
        "/api/",
        "/invocations",
        "/api/predict/",
        "/nothing",
        "/admin/foo",
        "/admin/registry/foo",
    ],
)
def test_it_has_nothing_at_an_unknown_path_whatever_the_method(method: str, path: str) -> None:
    client = Client(enforce_csrf_checks=True)
    response = client.generic(method, path, b"{}", content_type="application/json", headers={"Accept": JAVA})

    assert response.status_code == 404
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["status"] == 404


@pytest.mark.django_db
def test_it_shows_a_browser_a_page_for_an_unknown_address(client: Client) -> None:
    for headers in ({"Accept": CHROMIUM}, {"Accept": "text/html", "Cookie": "theme=dark"}):
        response = client.post("/nothing", headers=headers)

        assert response.status_code == 404
        assert response.headers["Content-Type"].startswith("text/html")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "status"), [("/api/predict", 202), ("/api/models/none/predict", 404), ("/api/predict?outputs=x", 400)]
)
@pytest.mark.parametrize("accept", [JAVA, CHROMIUM, "text/html"])
@pytest.mark.parametrize("cookie", ["", "theme=dark"])
def test_it_answers_json_with_json(
    client: Client, penguins: ModelVersion, path: str, status: int, accept: str, cookie: str
) -> None:
    headers = {"Accept": accept, "Cookie": cookie}
    response = client.post(path, RECORD, content_type="application/json", headers=headers)

    assert response.status_code == status
    assert response.headers["Content-Type"] in ("application/json", "application/problem+json")
    assert isinstance(response.json(), dict)


@pytest.mark.django_db
def test_it_reads_for_a_program_that_names_html_by_the_way(client: Client, penguins: ModelVersion) -> None:
    response = client.get("/api/models", headers={"Accept": JAVA})

    assert response.headers["Content-Type"] == "application/json"


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/models/penguins", "/login"])
def test_it_tells_a_program_that_a_page_is_for_browsers(penguins: ModelVersion, path: str) -> None:
    strict = Client(enforce_csrf_checks=True)
    response = strict.post(path, RECORD, content_type="application/json", headers={"Accept": JAVA})

    assert response.status_code == 403
    detail: Any = response.json()["detail"]
    assert "is a page for browsers" in detail
    assert ("/api/models/penguins" in detail) is (path == "/models/penguins")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/html;q=0.1, text/csv", "text/csv"),
        ("text/csv,text/html,*/*", "text/csv"),
        ("text/*", "text/csv"),
        ("text/csv;q=0.9, application/json;q=0.1", "text/csv"),
        ("application/json;q=0.5, text/csv;q=0.6", "text/csv"),
        ("application/json;q=0, text/csv", "text/csv"),
        ("text/html", "application/json"),
        ("", "application/json"),
        (JAVA, "application/json"),
        ("image/png, */*;q=0.1", "application/json"),
    ],
)
def test_it_obeys_the_qualities_of_what_a_program_accepts(
    client: Client, penguins: ModelVersion, penguin: dict[str, Any], accept: str, kind: str
) -> None:
    headers = {"Accept": accept, "Prefer": "wait=20"}
    response = client.post("/api/predict", penguin, "application/json", headers=headers)

    assert response.status_code == 200
    assert response.headers["Content-Type"].partition(";")[0] == kind


@pytest.mark.django_db
def test_it_says_which_types_it_has(client: Client, penguins: ModelVersion) -> None:
    response = client.get("/api/models", headers={"Accept": "image/png"})

    assert response.status_code == 406
    assert response.json()["detail"] == "The answer can be application/json; the header Accept is 'image/png'."


@pytest.mark.django_db
@pytest.mark.parametrize("method", ["get", "post"])
def test_it_names_the_formats_that_it_has(client: Client, penguins: ModelVersion, method: str) -> None:
    response = getattr(client, method)("/api/predict?format=xml", headers={"Accept": "application/json"})

    assert response.status_code == 400
    assert response.json()["detail"].startswith("format is 'xml'. Give one of json, api")
