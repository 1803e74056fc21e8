import pytest
from django.core.exceptions import ImproperlyConfigured

from mlserve.conf.env import Env


def origins_of(text: str) -> list[str]:
    return Env({"MLSERVE_CORS_ORIGINS": text}).cors_origins("MLSERVE_CORS_ORIGINS")


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("", []),
        (" , ", []),
        ("*", ["*"]),
        ("https://app.example.com", ["https://app.example.com"]),
        ("https://app.example.com, http://localhost:5173,", ["https://app.example.com", "http://localhost:5173"]),
        ("https://App.Example.com,https://app.example.com", ["https://app.example.com"]),
        ("http://127.0.0.1:8080", ["http://127.0.0.1:8080"]),
        ("http://[::1]:8080", ["http://[::1]:8080"]),
        ("https://xn--bcher-kva.example", ["https://xn--bcher-kva.example"]),
    ],
)
def test_it_reads_origins(text: str, origins: list[str]) -> None:
    assert origins_of(text) == origins


@pytest.mark.parametrize(
    "text",
    [
        "app.example.com", "https://app.example.com/", "https://app.example.com/page", "'https://app.example.com'",
        '"https://app.example.com"', "https://app.example.com https://b.example.com", "https://app.example.com:443",
        "http://app.example.com:80", "https://app.example.com:65536", "https://app.example.com:x", "https://*.example.com",
        "*,https://app.example.com", "https://", "https://-a.example.com", "https://user@app.example.com", "null", "file://",
        "ftp://app.example.com", "https://app.example.com?x", "https://app.example.com#x", "https://a..example.com",
        "https://büch.example", "https://app.example.com;https://b.example.com",
    ],
)  # fmt: skip
def test_it_refuses_what_no_browser_sends(text: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="MLSERVE_CORS_ORIGINS"):
        origins_of(text)
