"""Turn a validator's errors into sentences with a JSON Pointer. Pure."""

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

from registry.schema.options import any_of

_TYPE_NAMES = {
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "string": "a string",
    "null": "null",
    "object": 'an object {"column": value, …}',
}
# Nanoseconds in 64 bits reach no further; `registry.schema.date_formats` names the formats of columns that count them.
_NS = "between 1677-09-22 and 2262-04-11"
_LOCAL = "a date and time as 2026-01-31T12:00:00, without an offset (the model was trained on times without a zone)"
_ZONED = "a date and time with its offset, as 2026-01-31T12:00:00+01:00"
_FORMAT_NAMES = {
    "date": "a date as 2026-01-31",
    "date-time": "a date and time as 2026-01-31T12:00:00",
    "date-ns": f"a date as 2026-01-31, {_NS}",
    "date-time-local": _LOCAL,
    "date-time-local-ns": f"{_LOCAL}, {_NS}",
    "date-time-zoned": _ZONED,
    "date-time-zoned-ns": f"{_ZONED}, {_NS}",
}
_MOST_CHARACTERS = 300


def pointer(*parts: str | int) -> str:
    """A JSON Pointer (RFC 6901) as URI fragment: `#/3/age`."""
    escaped = (quote(str(part).replace("~", "~0").replace("/", "~1"), safe="!$&'()*+,;=:@~-._") for part in parts)
    return "#" + "".join(f"/{part}" for part in escaped)


def type_sentence(types: Sequence[str]) -> str:
    """'must be a number or null'."""
    ordered = sorted(types, key=lambda name: name == "null")
    return f"must be {any_of([_TYPE_NAMES.get(name, name) for name in ordered])}"


def _pattern(kind: Any) -> str:
    # The engine gives up on some texts with some patterns; such an error has no pattern.
    pattern = getattr(kind, "pattern", None)
    return "takes too long to compare with its pattern" if pattern is None else f"must match the pattern {pattern}"


# The sentence for each keyword of JSON Schema. For the others the validator's own message is used.
_SENTENCES: dict[str, Callable[[Any], str]] = {
    "type": lambda kind: type_sentence(kind.types),
    "minimum": lambda kind: f"must be at least {kind.limit}",
    "maximum": lambda kind: f"must be at most {kind.limit}",
    "exclusiveMinimum": lambda kind: f"must be more than {kind.limit}",
    "exclusiveMaximum": lambda kind: f"must be less than {kind.limit}",
    "multipleOf": lambda kind: f"must be a multiple of {kind.value}",
    "minLength": lambda kind: f"must have at least {kind.limit} characters",
    "maxLength": lambda kind: f"must have at most {kind.limit} characters",
    "pattern": _pattern,
    "format": lambda kind: f"must be {_FORMAT_NAMES.get(kind.format, kind.format)}",
}


def sentence(error: Any) -> str:
    """What one `jsonschema_rs.ValidationError` of a value says about it."""
    word = _SENTENCES.get(error.kind.name)
    text: str = word(error.kind) if word else error.message
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"
