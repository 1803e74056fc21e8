"""The address of the API that the caller of one that is not there probably means."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any

from django.conf import settings
from django.urls import Resolver404, get_resolver, get_script_prefix, resolve
from django.urls.resolvers import RoutePattern

# Comparing takes time that grows with the square of the length.
_MOST_CHARACTERS, _MOST_WORDS = 100, 8
_LIKE_A_WORD, _LIKE_AN_ADDRESS = 0.75, 0.5
_TRIED = 5
# How bases of other services end: /v1, /api/v2, /rest.
_BASE = re.compile(r"api|rest|v\d+(\.\d+)*", re.ASCII)
# What other systems call it.
_SYNONYMS = dict.fromkeys(
    ("invocations", "infer", "inference", "predictions", "prediction", "score", "scoring", "classify"), "predict"
)
_PROBES = frozenset({"healthz", "readyz", "metrics"})
_PLACEHOLDER = re.compile(r"<[^>]*>")


@dataclass(frozen=True)
class Route:
    """The segments of an address below `prefix`, None where any text may stand."""

    prefix: str
    segments: tuple[str | None, ...]


def nearest_address(path_info: str, method: str | None) -> str | None:
    """An address that exists, below the service's base path; None when nothing resembles `path_info`."""
    default = "models" if method in ("GET", "HEAD") else "predict"
    for address in (*_with_another_end(path_info), *alike(path_info, _routes(), default=default)):
        if _exists(address):
            return get_script_prefix().rstrip("/") + address
    return None


def _with_another_end(path: str) -> Iterator[str]:
    """With or without a slash, also of pages: people type /admin."""
    bare = path.rstrip("/")
    if bare and len(bare) <= _MOST_CHARACTERS:
        yield bare if path.endswith("/") else f"{bare}/"


def alike(path: str, routes: Sequence[Route], *, default: str) -> Iterator[str]:
    """Addresses made of `routes` and of what is special in `path`, the most similar first.

    Each has a word in common with `path`. `default` is what the base alone, as /api, is taken for.
    """
    literals = {segment for route in routes for segment in route.segments if segment}
    words = [_word(part, literals) for part in re.split(r"[/:]+", path[:_MOST_CHARACTERS]) if part]
    while words and _BASE.fullmatch(words[0].lower()):
        del words[0]
    words = words[:_MOST_WORDS] or [default]
    meant = {word: get_close_matches(word, literals, 1, _LIKE_A_WORD) for word in words}
    said = {literal for near in meant.values() for literal in near}
    found: dict[str, str] = {}
    for route in routes:
        special = iter([word for word in words if not set(meant[word]).intersection(route.segments)])
        filled = [segment or next(special, None) for segment in route.segments]
        # What an address ends with is what it does, which nobody forgets to say.
        is_meant = route.segments[-1] in said or (
            route.segments[-1] is None and bool(said.intersection(route.segments))
        )
        if None not in filled and is_meant:
            address = "/".join(map(str, filled))
            found.setdefault(address, route.prefix + address)
    for address in get_close_matches("/".join(words), found, _TRIED, _LIKE_AN_ADDRESS):
        yield found[address]


def _word(part: str, literals: set[str]) -> str:
    lower = part.lower()
    lower = _SYNONYMS.get(lower, lower)
    return lower if lower in literals or _BASE.fullmatch(lower) else part


@cache
def _routes() -> tuple[Route, ...]:
    """Those of the API, and of the probes."""
    base = settings.MLSERVE_API_PREFIX
    found = []
    for route in _paths(get_resolver().url_patterns, "/"):
        prefix = base if route.startswith(base) else "/"
        if prefix == base or route[1:] in _PROBES:
            parts = route[len(prefix) :].split("/")
            found.append(Route(prefix, tuple(None if _PLACEHOLDER.fullmatch(part) else part for part in parts)))
    return tuple(found)


def _paths(patterns: Sequence[Any], prefix: str) -> Iterator[str]:
    for each in patterns:
        if isinstance(each.pattern, RoutePattern):
            path = f"{prefix}{each.pattern}"
            if hasattr(each, "url_patterns"):
                yield from _paths(each.url_patterns, path)
            else:
                yield path


def _exists(address: str) -> bool:
    """The pattern without a route is the one of unknown addresses."""
    try:
        return bool(resolve(address).route)
    except Resolver404:
        return False
