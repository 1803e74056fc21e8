"""DATABASE_URL as Django's settings of a database."""

import contextlib
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

from mlserve.conf.env import Env
from mlserve.conf.paths import absolute

_SQLITE_OPTIONS: dict[str, Any] = {
    # A reading transaction that becomes a writing one fails at once when another writer was faster, despite the
    # timeout; IMMEDIATE takes the write lock at the start, so that writers wait for each other instead.
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    # WAL: readers never wait for the writer. NORMAL: a killed process loses nothing; a power cut may lose the last
    # moments, which a laptop's disk loses in any case. PostgreSQL is for servers.
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
}

# An unreachable server must not block a request for ever: libpq would wait for minutes, or without end. In seconds,
# except tcp_user_timeout, which is in milliseconds.
_POSTGRES_OPTIONS: dict[str, Any] = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
_POSTGRES_URL = "postgres://user:password@host:5432/name"
_SQLITE_URL = "sqlite:///path or sqlite:////absolute/path"
_SCHEME = re.compile(r"[A-Za-z][\w+.-]{0,30}", re.ASCII)
_MEMORY = "sqlite://:memory:"
_CODES = "%23 for #, %2F for /, %3F for ?, %5B for [, %5D for ], %40 for @, %3A for : and %25 for %"


def database(env: Env, *, data_folder: Path, project: Path) -> dict[str, Any]:
    """Django's DATABASES["default"]. Relative paths begin in `project`.

    Raises ImproperlyConfigured, which never holds the URL itself: a part of it is a password, and in a URL that cannot
    be read nobody knows which.
    """
    url = env.text("DATABASE_URL")
    if not url:
        return _sqlite(data_folder / "mlserve.sqlite3")
    if url == _MEMORY:
        return _sqlite(":memory:")
    scheme, separator, rest = url.partition("://")
    kind = scheme.lower()
    if separator and kind == "sqlite":
        return _sqlite(_sqlite_path(rest, project))
    if separator and kind in ("postgres", "postgresql"):
        return _postgres(f"{kind}://{rest}")
    begins = repr(scheme) if separator and _SCHEME.fullmatch(scheme) else "no scheme and ://"
    raise ImproperlyConfigured(f"DATABASE_URL begins with {begins}; allowed is {_POSTGRES_URL} or {_SQLITE_URL}.")


def _sqlite_path(rest: str, project: Path) -> Path:
    try:
        if not rest.startswith("/") or rest in ("/", "/:memory:") or rest.endswith("/") or set(rest) & set("?#"):
            raise ValueError(rest)
        return absolute(unquote(rest[1:]), project)
    except ValueError:
        raise ImproperlyConfigured(
            f"DATABASE_URL is {f'sqlite://{rest}'!r}; allowed is {_SQLITE_URL} of a file, with %23 for # and %3F for ?."
        ) from None


def _sqlite(path: Path | str) -> dict[str, Any]:
    if isinstance(path, Path):
        with contextlib.suppress(OSError):  # opening the file gives a better error
            # SQLite makes its file, which contains inputs, readable for every user of the machine.
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(path),
        "OPTIONS": _SQLITE_OPTIONS,
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": False,
        # Tests use a file, too: the locks of an in-memory database are others.
        "TEST": {"NAME": f"{path}-test"},
    }


def _postgres(url: str) -> dict[str, Any]:
    if problem := _problem_of(url):
        raise ImproperlyConfigured(
            f"DATABASE_URL cannot be used: {problem}. It is not shown, because it may hold a password; allowed is "
            f"{_POSTGRES_URL}, where user, password and name have {_CODES}. This escapes what it is given: "
            """python3 -c "import urllib.parse as u; print(u.quote(input(), ''))" """.rstrip()
        )
    parsed: dict[str, Any] = dict(dj_database_url.parse(url, conn_max_age=60, conn_health_checks=True))
    return {**parsed, "OPTIONS": {**_POSTGRES_OPTIONS, **parsed.get("OPTIONS", {})}}


def _problem_of(url: str) -> str:
    """What is wrong with a URL of PostgreSQL, "" for nothing. An unescaped sign can move any later part of it."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "it has a [ or ] that belongs to no IPv6 address"
    if "#" in url:
        return "it has a #, which ends an address"
    if "@" in parts.path + parts.query:
        return "its user or password has a / or ?, or an @ stands after the host"
    try:
        if parts.port == 0:
            return "its port is 0"
    except ValueError:
        return "its port is not a number up to 65535, or its user or password has a / or ?"
    if not parts.path.strip("/"):
        return "it names no database after the host"
    return "its name of the database has a /" if "/" in parts.path[1:] else ""
