"""What ALLOWED_HOSTS and CSRF_TRUSTED_ORIGINS may hold, by what Django finds with it."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from mlserve.conf.env import Env


def read(reader: str, value: str) -> list[str]:
    found: list[str] = getattr(Env({"NAME": value}), reader)("NAME")
    return found


@pytest.mark.parametrize(
    "value",
    ["models.example.com", ".example.com", "localhost", "10.0.0.7", "[::1]", "*", "my-host", "Models.Example.COM",
     "xn--mnchen-3ya.de", "a.example,b.example", " a.example , b.example, ", ""],
)  # fmt: skip
def test_it_takes_hosts(value: str) -> None:
    assert read("hosts", value) == [entry.strip() for entry in value.split(",") if entry.strip()]


@pytest.mark.parametrize(
    "entry",
    ["https://models.example.com", "models.example.com:8000", "a.example b.example", '"models.example.com"',
     "'a.example'", "*.example.com", "models.example.com/", "::1", "[::1]:80", "my_host", "a..example", "example.com.",
     "[a.example", "münchen.de", "a.example;b.example", "-a.example"],
)  # fmt: skip
def test_it_names_what_is_no_host(entry: str) -> None:
    with pytest.raises(ImproperlyConfigured) as refusal:
        read("hosts", f"right.example,{entry}")

    assert str(refusal.value).startswith(f"NAME is {entry!r}; allowed is a host name, ")


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("https://models.example.com", ["https://models.example.com"]),
        ("https://*.example.org, http://localhost:8000", ["https://*.example.org", "http://localhost:8000"]),
        ("HTTPS://Models.Example.com", ["https://models.example.com"]),
        ("https://[::1]:8443", ["https://[::1]:8443"]),
        ("", []),
    ],
)
def test_it_takes_origins_as_browsers_send_them(value: str, found: list[str]) -> None:
    assert read("origins", value) == found


@pytest.mark.parametrize(
    "entry",
    ["models.example.com", "https://models.example.com/", "https://models.example.com/web", '"https://a.example"',
     "'https://a.example'", "https://a.example https://b.example", "https://", "https://a.example:443",
     "http://a.example:80", "https://a.example:port", "https://user@a.example", "https://a.example?x", "*", "null",
     "https://[::1", "https://a.*.example"],
)  # fmt: skip
def test_it_names_what_is_no_origin(entry: str) -> None:
    with pytest.raises(ImproperlyConfigured) as refusal:
        read("origins", f"https://right.example,{entry}")

    assert str(refusal.value).startswith(f"NAME is {entry!r}; allowed is scheme, host and a port ")
