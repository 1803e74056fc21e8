"""Read settings from the environment, and stop with a useful sentence when a value makes no sense."""

import os
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from mlserve.conf.rates import Rate, rate_of

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off", ""})
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
        value = self._variables.get(name)
        if value is None:
            return default
        if value.strip().lower() in _TRUE:
            return True
        if value.strip().lower() in _FALSE:
            return False
        raise _refused(name, value, "1 or 0")

    def choice(self, name: str, allowed: tuple[str, ...], *, default: str) -> str:
        value = self.text(name) or default
        if value not in allowed:
            raise _refused(name, value, " or ".join(allowed))
        return value

    def queue(self, name: str) -> tuple[str, str]:
        """(`orm`, `sqs` or `redis`, address of Redis or ""). The address is not echoed, for it may hold a password."""
        value = self.text(name) or "orm"
        if value in ("orm", "sqs"):
            return value, ""
        if value.startswith(("redis://", "rediss://", "unix://")):
            if not _is_address(value):
                raise _refused(
                    name,
                    "an address that cannot be read",
                    "redis://user:password@host:6379/0, with % codes for / ? # @ : in the password",
                )
            return "redis", value
        raise _refused(name, value.partition(":")[0], "orm, sqs or redis://host:6379/0")

    def base_path(self, name: str) -> str:
        """`/web`, or "" for the root of the host."""
        value = self.text(name).strip("/")
        if not value:
            return ""
        if not _PATH.fullmatch(value):
            raise _refused(name, value, "a path such as /web")
        return f"/{value}"

    def names(self, name: str, default: tuple[str, ...] = ()) -> list[str]:
        """A comma-separated list; empty entries are dropped."""
        value = self._variables.get(name)
        if value is None:
            return list(default)
        return [entry.strip() for entry in value.split(",") if entry.strip()]

    def number(self, name: str, *, default: int, at_least: int, at_most: int | None = None) -> int:
        value = self.text(name)
        if not value:
            return default
        allowed = f"a whole number, at least {at_least}" + (f", at most {at_most}" if at_most else "")
        try:
            number = int(value.replace("_", ""))
        except ValueError:
            raise _refused(name, value, allowed) from None
        if number < at_least or (at_most is not None and number > at_most):
            raise _refused(name, value, allowed)
        return number

    def rate(self, name: str, *, default: str) -> Rate | None:
        """How often something may happen (`600/min`); None for an empty value: as often as one likes."""
        value = self._variables.get(name, default)
        try:
            return rate_of(value)
        except ValueError:
            raise _refused(name, value, "600/min, 10/s, 5000/h, or empty for no limit") from None

    def size_bytes(self, name: str, *, default: int, at_least: int = 1) -> int:
        """Bytes: a whole number, or one with a unit (`512MiB`, `1 GiB`, `5MB`)."""
        value = self.text(name)
        if not value:
            return default
        allowed = f"bytes as 5242880 or 5MiB, at least {at_least}"
        digits = value.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
        unit = value[len(digits) :].strip().lower()
        try:
            size = int(digits) * _UNITS[unit]
        except (ValueError, KeyError):
            raise _refused(name, value, allowed) from None
        if size < at_least:
            raise _refused(name, value, allowed)
        return size


def _is_address(url: str) -> bool:
    """Whether the parts of a URL can be told apart; a password with signs of its own makes a port of its beginning."""
    try:
        parts = urlsplit(url)
        return bool(parts.port is None or parts.port) and bool(parts.hostname or parts.scheme == "unix")
    except ValueError:
        return False


def _refused(name: str, value: str, allowed: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"{name} is {value!r}; allowed is {allowed}.")
