"""The `Prefer` request header of RFC 7240: `wait=n` and `respond-async`. Pure."""

import re
from dataclasses import dataclass

_TOKEN = re.compile(r"""\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*(?:=\s*("(?:[^"\\]|\\.)*"|[^\s;,"]*))?""")


@dataclass(frozen=True)
class Preference:
    """`wait_seconds` is None when the caller did not ask to wait."""

    wait_seconds: float | None = None

    @property
    def applied(self) -> str | None:
        """The value of the header `Preference-Applied`, or None when no preference was given."""
        return None if self.wait_seconds is None else f"wait={self.wait_seconds:g}"


def read_preference(header: str | None, *, max_wait_seconds: int) -> Preference:
    """Parse a `Prefer` header (several lines joined by commas); unknown and malformed preferences are ignored.

    The first of a repeated preference wins. A bare `wait` asks for as long as is allowed; `respond-async`
    without `wait` asks not to wait, which is the default anyway.
    """
    if not header:
        return Preference()
    preferences: dict[str, str] = {}
    for part in _split(header):
        match = _TOKEN.match(part)
        if match:
            value = (match[2] or "").strip('"')
            preferences.setdefault(match[1].lower(), value)
    wait = preferences.get("wait")
    if wait is None:
        return Preference()
    if not wait:
        return Preference(float(max_wait_seconds))
    if not wait.isascii() or not wait.isdecimal():
        return Preference()
    # Nine digits are more than any limit; int() refuses some thousand.
    return Preference(float(min(int(wait.lstrip("0")[:9] or 0), max_wait_seconds)))


def _split(header: str) -> list[str]:
    """At commas outside of quoted strings; character by character, for a hostile header defeats a pattern."""
    parts, start, is_quoted, is_escaped = [], 0, False, False
    for position, character in enumerate(header):
        if is_escaped:
            is_escaped = False
        elif character == "\\":
            is_escaped = is_quoted
        elif character == '"':
            is_quoted = not is_quoted
        elif character == "," and not is_quoted:
            parts.append(header[start:position])
            start = position + 1
    return [*parts, header[start:]]
