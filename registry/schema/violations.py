"""Turn a validator's errors into sentences with a JSON Pointer. Pure."""

from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from itertools import islice
from typing import Any
from urllib.parse import quote

from mlserve.errors import FieldError

_TYPE_NAMES = {
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "string": "a string",
    "null": "null",
    "object": 'an object {"column": value, …}',
}
# Nanoseconds in 64 bits reach no further; `registry.schema.record` names these formats for columns that count them.
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
_SHOWN_CHOICES = 12


def pointer(*parts: str | int) -> str:
    """A JSON Pointer (RFC 6901) as URI fragment: `#/3/age`."""
    escaped = (quote(str(part).replace("~", "~0").replace("/", "~1"), safe="!$&'()*+,;=:@~-._") for part in parts)
    return "#" + "".join(f"/{part}" for part in escaped)


def any_of(names: Sequence[str]) -> str:
    """'a', 'a or b', 'a, b or c'."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def type_sentence(types: Sequence[str]) -> str:
    """'must be a number or null'."""
    ordered = sorted(types, key=lambda name: name == "null")
    return f"must be {any_of([_TYPE_NAMES.get(name, name) for name in ordered])}"


def _enum(kind: Any, value: Any) -> str:
    options = [option for option in kind.options if option is not None]
    shown = any_of([repr(option) for option in options[:_SHOWN_CHOICES]])
    more = f" (and {len(options) - _SHOWN_CHOICES} more)" if len(options) > _SHOWN_CHOICES else ""
    return f"must be {shown}{more}{_did_you_mean(value, options)}"


# The sentence for each keyword of JSON Schema. For the others the validator's own message is used.
_SENTENCES: dict[str, Callable[[Any, Any], str]] = {
    "type": lambda kind, _: type_sentence(kind.types),
    "enum": _enum,
    "minimum": lambda kind, _: f"must be at least {kind.limit}",
    "maximum": lambda kind, _: f"must be at most {kind.limit}",
    "exclusiveMinimum": lambda kind, _: f"must be more than {kind.limit}",
    "exclusiveMaximum": lambda kind, _: f"must be less than {kind.limit}",
    "multipleOf": lambda kind, _: f"must be a multiple of {kind.value}",
    "minLength": lambda kind, _: f"must have at least {kind.limit} characters",
    "maxLength": lambda kind, _: f"must have at most {kind.limit} characters",
    "pattern": lambda kind, _: f"must match the pattern {kind.pattern}",
    "format": lambda kind, _: f"must be {_FORMAT_NAMES.get(kind.format, kind.format)}",
}


def count(error: Any) -> int:
    """How many field errors `sentences` would give without a limit."""
    return len(error.kind.unexpected) if error.kind.name == "additionalProperties" else 1


def sentences(error: Any, path: Sequence[str | int], columns: Sequence[str], *, most: int) -> list[FieldError]:
    """At most `most` field errors of one `jsonschema_rs.ValidationError` in the row at `path`.

    There are several for unexpected columns. `path` leads to the row: empty for a single record.
    """
    if most <= 0:
        return []
    path, kind = [*path, *(_name(part, columns) for part in error.instance_path)], error.kind
    if kind.name == "additionalProperties":
        return unexpected(kind.unexpected, path, columns, most=most)
    if kind.name == "required":
        return [FieldError(pointer(*path, kind.property), "is required")]
    sentence = _SENTENCES.get(kind.name)
    return [FieldError(pointer(*path), sentence(kind, error.instance) if sentence else error.message)]


def _name(part: str | int, columns: Sequence[str]) -> str | int:
    """The validator takes a name of digits for a position: "00" for 0."""
    if isinstance(part, str):
        return part
    return next((name for name in columns if name.isdecimal() and int(name) == part), part)


def unexpected(
    names: Iterable[str], path: Sequence[str | int], columns: Sequence[str], *, most: int
) -> list[FieldError]:
    """At most `most` field errors for names that are no columns."""
    return [
        FieldError(pointer(*path, name), f"is not a column of this model{_did_you_mean(name, columns)}")
        for name in islice(names, max(0, most))
    ]


def _did_you_mean(value: Any, options: Sequence[Any]) -> str:
    if not isinstance(value, str) or len(value) > 100:
        return ""
    by_lower = {option.lower(): option for option in options if isinstance(option, str)}
    close = get_close_matches(value.lower(), by_lower, n=1)
    return f"; did you mean {by_lower[close[0]]!r}?" if close else ""
