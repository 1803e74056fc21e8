"""Read settings from the environment, and stop with a useful sentence when a value makes no sense."""

import os
import re
import string
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from mlserve.conf import hosts
from mlserve.conf.paths import absolute
from mlserve.conf.rates import Rate, rate_of

Value = TypeVar("Value")

_FLAGS = dict.fromkeys(("1", "true", "yes", "on"), True) | dict.fromkeys(("0", "false", "no", "off", ""), False)
_UNITS = {"": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "kb": 10**3, "mb": 10**6, "gb": 10**9}
_QUOTES = "\"'`"
_HOST = re.compile(r"[\w.:%-]+", re.ASCII)
_LAST_PORT = 65535
_PATH = re.compile(r"[\w.~-]+(/[\w.~-]+)*", re.ASCII)


class Env:
    """A view of environment variables; each reader names the variable, what it read and what is allowed."""

    def __init__(self, variables: Mapping[str, str] = os.environ) -> None:
        self._variables = variables

    def text(self, name: str, default: str = "") -> str:
        """Raises ImproperlyConfigured for a value in quotes, without the value, which may be a secret."""
        value = self._raw(name, default)
        if len(value) > 1 and value[0] == value[-1] and value[0] in _QUOTES:
            raise ImproperlyConfigured(
                f"{name} begins and ends with {value[0]}; allowed is the value alone: what sets it (a file for "
                "containers, a service manager) does not take quotes away as a shell does."
            )
        return value

    def _raw(self, name: str, default: str = "") -> str:
        return self._variables.get(name, default).strip()

    def secret(self, name: str, *, default: str | None, how_to_make: str) -> str:
        """A value that must be there unless `default` is given; it is never echoed in the error."""
        value = self._raw(name) or default
        if value is None:
            raise ImproperlyConfigured(f"{name} is not set. {how_to_make}")
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        if name not in self._variables:
            return default
        return _parsed(name, self._raw(name), lambda value: _FLAGS[value.lower()], "1 or 0")

    def choice(self, name: str, allowed: tuple[str, ...], *, default: str) -> str:
        value = self._raw(name) or default
        if value not in allowed:
            raise _refused(name, value, " or ".join(allowed))
        return value

    def queue(self, name: str) -> tuple[str, str]:
        """(`orm`, `sqs` or `redis`, address of Redis or ""). The address may hold a password, so no error echoes it."""
        value = self._raw(name) or "orm"
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
        value = self._raw(name).strip("/")
        if value and not _PATH.fullmatch(value):
            raise _refused(name, value, "a path such as /web")
        return f"/{value}" if value else ""

    def names(self, name: str, default: tuple[str, ...] = ()) -> list[str]:
        """A comma-separated list without empty entries. A variable that is set, even to "", replaces `default`."""
        if name not in self._variables:
            return list(default)
        return [entry.strip() for entry in self._variables[name].split(",") if entry.strip()]

    def hosts(self, name: str, default: tuple[str, ...] = ()) -> list[str]:
        """A list for ALLOWED_HOSTS."""
        return self._each(name, self.names(name, default), hosts.is_host, hosts.HOSTS)

    def origins(self, name: str, default: tuple[str, ...] = ()) -> list[str]:
        """A list of origins, in lower case as browsers send them."""
        found = self._each(name, self.names(name, default), hosts.is_origin, hosts.ORIGINS)
        return [origin.lower() for origin in found]

    def _each(self, name: str, entries: list[str], is_right: Callable[[str], bool], allowed: str) -> list[str]:
        for entry in entries:
            if not is_right(entry):
                raise _refused(name, entry, allowed)
        return entries

    def folder(self, name: str, default: Path, *, project: Path) -> Path:
        """The absolute path of a folder that may not exist yet; a relative one begins in `project`."""
        allowed = f"the path of a folder: absolute, with ~ for the home, or from {project} on; without quotes and $"
        value = self._raw(name)
        path = _parsed(name, value, lambda text: absolute(text, project), allowed) if value else default
        if path.exists() and not path.is_dir():
            raise _refused(name, str(path), allowed)
        return path.absolute()

    def address(self, name: str, default: str) -> str:
        """An address or a host name to listen at. An empty one would mean all addresses."""
        value = self._raw(name, default)
        host = value[1:-1] if value.startswith("[") and value.endswith("]") else value
        if not _HOST.fullmatch(host):
            raise _refused(name, value, "an address or host name of this machine, such as 127.0.0.1, ::1 or 0.0.0.0")
        return host

    def port(self, name: str, default: str) -> int:
        allowed = "a whole number, at least 1, at most 65535"
        value = self._raw(name, default)
        port = _parsed(name, value, int, allowed)
        if not 1 <= port <= _LAST_PORT:
            raise _refused(name, value, allowed)
        return port

    def cors_origins(self, name: str) -> list[str]:
        """Origins of web pages as browsers write them, or `*` alone."""
        entries = self.names(name)
        if entries == ["*"]:
            return entries
        if "*" in entries:
            raise _refused(name, ",".join(entries), hosts.CORS_ORIGINS)
        found = self._each(name, entries, hosts.is_exact_origin, hosts.CORS_ORIGINS)
        return list(dict.fromkeys(origin.lower() for origin in found))

    def number(self, name: str, *, default: int, at_least: int, at_most: int | None = None) -> int:
        allowed = f"a whole number, at least {at_least}" + (f", at most {at_most}" if at_most else "")
        value = self._raw(name)
        number = _parsed(name, value, int, allowed) if value else default
        if value and (number < at_least or (at_most is not None and number > at_most)):
            raise _refused(name, value, allowed)
        return number

    def size_bytes(self, name: str, *, default: int, at_least: int = 1) -> int:
        """Bytes: a whole number, or one with a unit (`512MiB`, `1 GiB`, `5MB`)."""
        allowed = f"bytes as 5242880 or 5MiB, at least {at_least}"
        value = self._raw(name)
        size = _parsed(name, value, _size_bytes, allowed) if value else default
        if value and size < at_least:
            raise _refused(name, value, allowed)
        return size

    def rate(self, name: str, *, default: str) -> Rate | None:
        """How often something may happen (`600/min`); None, for an empty value, is no limit."""
        return _parsed(name, self._raw(name, default), rate_of, "600/min, 10/s, 5000/h, or empty for no limit")


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
