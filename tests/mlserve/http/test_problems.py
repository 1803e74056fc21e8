import logging
from typing import Any

import pytest
from django.core.exceptions import DisallowedHost, PermissionDenied, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404
from django.test import Client, RequestFactory
from rest_framework import exceptions
from rest_framework.test import APIClient

from mlserve.errors import Unavailable
from mlserve.http.problems import problem_response


def answered(error: Exception, path: str = "/api/models") -> Any:
    return problem_response(RequestFactory().get(path), error)


@pytest.mark.parametrize(
    ("error", "status", "slug"),
    [
        (exceptions.ParseError(), 400, "bad-request"),
        (exceptions.ValidationError({"tag": ["This field is required."]}), 400, "bad-request"),
        (exceptions.NotAuthenticated(), 401, "not-authenticated"),
        (exceptions.AuthenticationFailed(), 401, "not-authenticated"),
        (exceptions.PermissionDenied(), 403, "forbidden"),
        (PermissionDenied(), 403, "forbidden"),
        (exceptions.NotFound(), 404, "not-found"),
        (Http404(), 404, "not-found"),
        (exceptions.MethodNotAllowed("PUT"), 405, "method-not-allowed"),
        (exceptions.NotAcceptable(), 406, "not-acceptable"),
        (exceptions.UnsupportedMediaType("text/csv"), 415, "unsupported-media-type"),
        (exceptions.Throttled(wait=2.5), 429, "too-many-requests"),
        (exceptions.APIException(), 500, "error"),
        (SuspiciousOperation("odd"), 400, "bad-request"),
        (OperationalError("connection refused"), 503, "unavailable"),
        (InterfaceError("the connection is closed"), 503, "unavailable"),
        (ZeroDivisionError("secret detail"), 500, "error"),
    ],
    ids=lambda value: f"{type(value).__module__}.{type(value).__name__}" if isinstance(value, Exception) else "",
)
def test_it_turns_every_exception_into_a_problem(
    error: Exception, status: int, slug: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.CRITICAL):
        response = answered(error)

    assert response.status_code == status
    assert response["Content-Type"] == "application/problem+json"
    assert f'"type":"http://testserver/problems/{slug}"'.encode() in response.content
    assert b'"instance":"/api/models"' in response.content


def test_it_keeps_internals_to_itself(caplog: pytest.LogCaptureFixture) -> None:
    response = answered(ZeroDivisionError("secret detail"))

    assert b"secret" not in response.content
    assert "secret detail" in caplog.text


def test_it_says_where_a_host_belongs() -> None:
    assert b"adds it to ALLOWED_HOSTS" in answered(DisallowedHost("Invalid HTTP_HOST header: 'evil'.")).content


@pytest.mark.parametrize("path", ["/", "/api/models"])
def test_it_writes_no_error_for_a_wrong_host(client: Client, caplog: pytest.LogCaptureFixture, path: str) -> None:
    answer = client.get(path, headers={"host": "scanner.example"})

    assert answer.status_code == 400
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_it_rounds_the_wait_of_a_throttled_caller_up() -> None:
    assert answered(exceptions.Throttled(wait=2.5))["Retry-After"] == "3"


def test_it_says_when_to_try_again() -> None:
    assert answered(Unavailable("The storage sleeps."))["Retry-After"] == "5"


def test_it_names_the_field_at_fault() -> None:
    response = answered(exceptions.ValidationError({"tag": ["This field is required."]}))

    assert b"tag: This field is required." in response.content


@pytest.mark.parametrize(
    "slug",
    ["bad-request", "not-authenticated", "forbidden", "method-not-allowed", "not-acceptable", "not-found",
     "unsupported-media-type", "too-many-requests", "invalid-rows", "error"],
)  # fmt: skip
def test_it_has_a_page_behind_every_type(db: None, client: Client, slug: str) -> None:
    """RFC 9457: `type` resolves to documentation."""
    assert client.get(f"/problems/{slug}").status_code == 200


def test_it_has_no_page_for_other_types(db: None, client: Client) -> None:
    assert client.get("/problems/no-such-kind").status_code == 404


@pytest.mark.parametrize("path", ["/api/nothing", "/api/predict/nothing"])
def test_it_answers_unknown_addresses_of_the_api_with_a_problem(db: None, api: APIClient, path: str) -> None:
    response = api.get(path)

    assert response.status_code == 404
    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["type"].endswith("/problems/not-found")


def test_it_answers_unknown_pages_with_a_page(db: None, client: Client) -> None:
    response = client.get("/nothing", headers={"Accept": "text/html"})

    assert response.status_code == 404
    assert response["Content-Type"].startswith("text/html")


def test_it_refuses_a_chunked_body_whose_end_django_would_not_see(db: None, api: APIClient) -> None:
    response = api.post("/api/predict", {}, HTTP_TRANSFER_ENCODING="chunked")

    assert response.status_code == 411
    assert response.json()["type"].endswith("/problems/length-required")


def test_it_refuses_a_method_with_what_is_allowed(db: None, api: APIClient) -> None:
    response = api.delete("/api/models")

    assert response.status_code == 405
    assert "GET" in response["Allow"]
    assert response.json()["status"] == 405


@pytest.mark.django_db
@pytest.mark.parametrize("url", ["/api/models", "/models/penguins"])
def test_it_refuses_a_host_that_is_not_ours(client: Client, url: str) -> None:
    response = client.get(url, headers={"Host": "evil.example"})

    assert response.status_code == 400
    assert "evil" not in response.content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "url",
    ["/api/models/a%00b", "/api/models/a%00b/predict", "/models/a%00b", "/api/predict?model=a%00b", "/admin/?q=%00"],
)
def test_it_refuses_a_nul_in_an_address(api: APIClient, url: str) -> None:
    response = api.post(url, {}) if url.endswith("predict") else api.get(url)

    assert response.status_code == 400


@pytest.mark.parametrize("words", ["database or disk is full", 'could not extend file "x": No space left on device'])
def test_it_says_when_the_database_has_no_room_left(words: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.CRITICAL):
        detail = answered(OperationalError(words)).content.decode()

    assert "The database has no room left. Nothing was accepted" in detail
