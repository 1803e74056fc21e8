"""Read settings from the environment, and stop with a useful sentence when a value makes no sense."""

import os
import re
import string
from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from mlserve.conf.origins import origins_of
from mlserve.conf.rates import Rate, rate_of

Value = TypeVar("Value")

_FLAGS = dict.fromkeys(("1", "true", "yes", "on"), True) | dict.fromkeys(("0", "false", "no", "off", ""), False)
_UNITS = {"": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "kb": 10**3, "mb": 10**6, "gb": 10**9}
_PATH = re.compile(r"[\w.~-]+(/[\w.~-]+)*", re.ASCII)


class Env:
    """A view of environment variables; each reader names the variable, what it read and what is allowed."""

    def __init__(self, variables: Mapping[str, str] = os.environ) -> None:
        self._variables = variables

    def text(self, name: str, default: str = "") -> str:
        return self._variables.get(name, default).strip()

    def secret(self, name: str, *, default: str | None, how_to_make: str) -> str:
        """A value that must be there unless `default` is given; it is never echoed in the error."""
        value = self.text(name) or default
        if value is None:
            raise ImproperlyConfigured(f"{name} is not set. {how_to_make}")
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        if name not in self._variables:
            return default
        return _parsed(name, self.text(name), lambda value: _FLAGS[value.lower()], "1 or 0")

    def choice(self, name: str, allowed: tuple[str, ...], *, default: str) -> str:
        value = self.text(name) or default
        if value not in allowed:
            raise _refused(name, value, " or ".join(allowed))
        return value

    def queue(self, name: str) -> tuple[str, str]:
        """(`orm`, `sqs` or `redis`, address of Redis or ""). The address may hold a password, so no error echoes it."""
        value = self.text(name) or "orm"
        if value in ("orm", "sqs"):
            return value, ""
        if not value.startswith(("redis://", "rediss://", "unix://")):
            raise _refused(name, value.partition(":")[0], "orm, sqs or redis://host:6379/0")
        if not _is_address(value):
            allowed = "redis://user:password@host:6379/0, with % codes for / ? # @ : in the password"
            raise _refused(name, "an address that cannot be read", allowed)
        return "redis", value

    def base_path(self, name: str) -> str:
        """`/web`, or "" for the root of the host."""
        value = self.text(name).strip("/")
        if value and not _PATH.fullmatch(value):
            raise _refused(name, value, "a path such as /web")
        return f"/{value}" if value else ""

    def names(self, name: str, default: tuple[str, ...] = ()) -> list[str]:
        """A comma-separated list without empty entries. A variable that is set, even to "", replaces `default`."""
        if name not in self._variables:
            return list(default)
        return [entry.strip() for entry in self._variables[name].split(",") if entry.strip()]

    def cors_origins(self, name: str) -> list[str]:
        """Origins of web pages as browsers write them, or `*` alone."""
        value = self.text(name)
        return _parsed(name, value, origins_of, "* or origins as https://app.example.com, separated by commas")

    def number(self, name: str, *, default: int, at_least: int, at_most: int | None = None) -> int:
        allowed = f"a whole number, at least {at_least}" + (f", at most {at_most}" if at_most else "")
        value = self.text(name)
        number = _parsed(name, value, int, allowed) if value else default
        if value and (number < at_least or (at_most is not None and number > at_most)):
            raise _refused(name, value, allowed)
        return number

    def size_bytes(self, name: str, *, default: int, at_least: int = 1) -> int:
        """Bytes: a whole number, or one with a unit (`512MiB`, `1 GiB`, `5MB`)."""
        allowed = f"bytes as 5242880 or 5MiB, at least {at_least}"
        value = self.text(name)
        size = _parsed(name, value, _size_bytes, allowed) if value else default
        if value and size < at_least:
            raise _refused(name, value, allowed)
        return size

    def rate(self, name: str, *, default: str) -> Rate | None:
        """How often something may happen (`600/min`); None, for an empty value, is no limit."""
        return _parsed(name, self.text(name, default), rate_of, "600/min, 10/s, 5000/h, or empty for no limit")


def _parsed(name: str, value: str, parse: Callable[[str], Value], allowed: str) -> Value:
    try:
        return parse(value)
    except (ValueError, KeyError):
        raise _refused(name, value, allowed) from None


def _size_bytes(value: str) -> int:
    digits = value.rstrip(f"{string.ascii_letters} ")
    return int(digits) * _UNITS[value[len(digits) :].strip().lower()]


def _is_address(url: str) -> bool:
    """Whether a URL has a host and a valid port: an unquoted `/` in a password would end the host early."""
    try:
        parts = urlsplit(url)
        return parts.port != 0 and bool(parts.hostname or parts.scheme == "unix")
    except ValueError:
        return False


def _refused(name: str, value: str, allowed: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"{name} is {value!r}; allowed is {allowed}.")
