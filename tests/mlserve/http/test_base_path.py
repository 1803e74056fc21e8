"""MLSERVE_BASE_PATH, whether the proxy takes it away or not; `tests/flows/test_base_path.py` asks a real proxy."""

from typing import Any

import pytest

from mlserve.http.base_path import without_base_path


@pytest.mark.parametrize(
    ("base", "path", "expected"),
    [
        (None, "/web/api/models", "/web/api/models"),
        ("/web", "/api/models", "/api/models"),
        ("/web", "/web/api/models", "/api/models"),
        ("/web", "/web/", "/"),
        ("/web", "/web", "/"),
        ("/web", "/", "/"),
        ("/web", "", ""),
        ("/web", "/website", "/website"),
        ("/web", "//api/models", "/api/models"),
        (None, "//api/models", "//api/models"),
        ("/web", "/web/web", "/web"),
        ("/web", "/web/static/mlserve/style.css", "/static/mlserve/style.css"),
        ("/web/v1", "/web/v1/healthz", "/healthz"),
        ("/web/v1", "/web/healthz", "/web/healthz"),
        # Where the base path begins as addresses of the service do, an address that there is was stripped.
        ("/api", "/api/models", "/api/models"),
        ("/api", "/api/api/models", "/api/models"),
        ("/api", "/api/healthz", "/healthz"),
        ("/models", "/models/penguins", "/models/penguins"),
        ("/models", "/models/models/penguins", "/models/penguins"),
        ("/models", "/models/api/predict", "/api/predict"),
        ("/admin", "/admin/", "/admin/"),
    ],
)
def test_it_finds_the_address(settings: Any, base: str | None, path: str, expected: str) -> None:
    settings.FORCE_SCRIPT_NAME = base

    assert without_base_path(path) == expected
