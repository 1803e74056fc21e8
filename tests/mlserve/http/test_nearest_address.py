"""Which address was probably meant."""

import time

import pytest
from django.test.utils import override_script_prefix
from django.urls import resolve
from rest_framework.test import APIClient

from mlserve.http.nearest_address import Route, alike, nearest_address

ROUTES = (
    Route("/api/", ("predict",)),
    Route("/api/", ("predict", None)),
    Route("/api/", ("models",)),
    Route("/api/", ("models", None)),
    Route("/api/", ("models", None, "predict")),
    Route("/api/", ("models", None, "versions", None, "predict")),
    Route("/", ("healthz",)),
)


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("/predict", "/api/predict"),
        ("/v1/predict", "/api/predict"),
        ("/api/v1.1/predict", "/api/predict"),
        ("//api//predict", "/api/predict"),
        ("/api/predict/", "/api/predict"),
        ("/API/Predict", "/api/predict"),
        ("/api/predcit", "/api/predict"),
        ("/invocations", "/api/predict"),
        ("/api", "/api/predict"),
        ("/", "/api/predict"),
        ("/predictions/0193", "/api/predict/0193"),
        ("/models/penguins/predict", "/api/models/penguins/predict"),
        ("/api/model/Penguins/predict", "/api/models/Penguins/predict"),
        ("/v1/models/penguins:predict", "/api/models/penguins/predict"),
        ("/penguins/predict", "/api/models/penguins/predict"),
        ("/v2/models/penguins/versions/1.0/infer", "/api/models/penguins/versions/1.0/predict"),
        ("/health", "/healthz"),
    ],
)
def test_it_finds_what_was_meant(path: str, address: str) -> None:
    assert next(alike(path, ROUTES, default="predict")) == address


@pytest.mark.parametrize("path", ["/wp-login.php", "/.git/config", "/xyz", "/" + "%" * 50])
def test_it_names_nothing_for_something_else(path: str) -> None:
    assert list(alike(path, ROUTES, default="predict")) == []


@pytest.mark.parametrize("path", ["/" + "predict/" * 20_000, "/" + "a" * 100_000, "/" + "/".join("predicx" * 9000)])
def test_it_spends_little_on_a_hostile_path(path: str) -> None:
    started = time.perf_counter()
    list(alike(path, ROUTES, default="predict"))

    assert time.perf_counter() - started < 0.5


@pytest.mark.parametrize(
    ("path", "method", "address"),
    [
        ("/api", "GET", "/api/models"),
        ("/api", "POST", "/api/predict"),
        ("/model/penguins", "GET", "/api/models/penguins"),
        ("/api/uploads/", "POST", "/api/uploads"),
        ("/health", "GET", "/healthz"),
        ("/metric", "GET", "/metrics"),
    ],
)
def test_it_names_addresses_that_exist(path: str, method: str, address: str) -> None:
    assert nearest_address(path, method) == address
    assert resolve(address).route


def test_it_does_not_name_the_address_that_was_asked_for() -> None:
    assert nearest_address("/api/predict/not-an-id", "GET") == "/api/predict"


@pytest.mark.parametrize(
    ("path", "address"),
    [("/admin", "/admin/"), ("/account/", "/account"), ("/login/", "/login"), ("/models/churn/", "/models/churn")],
)
def test_it_names_pages_with_the_right_end(path: str, address: str) -> None:
    assert nearest_address(path, "GET") == address


def test_it_names_the_base_path() -> None:
    with override_script_prefix("/web/"):
        assert nearest_address("/predict", "POST") == "/web/api/predict"


@pytest.mark.django_db
def test_it_is_told_to_the_caller(api: APIClient) -> None:
    detail = api.post("/invocations", {}).json()["detail"]

    assert detail == (
        "There is nothing at /invocations. The nearest address is /api/predict; the page /api/docs lists all."
    )
