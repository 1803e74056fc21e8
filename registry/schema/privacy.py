"""Redacted columns, and what is stored in place of their values. Pure.

A property of a schema may say `"x-stored": "no"` or `"x-stored": "hashed"`. The model gets the value unchanged; once
the prediction has ended, nothing or a hash is stored. Hashes are keyed, because unkeyed hashes of values with a short
list, such as postcodes, can be found by trying all of them. Equal values of one model and column have equal hashes, so
that predictions can still be joined.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

from mlserve.errors import BadUpload

Mark = Literal["hashed", "no"]

MARK_KEY = "x-stored"
_MARKS = ("hashed", "no")
_PREFIX = "hmac-sha256:"
# Up to here float64 represents every whole number.
_MOST_EXACT_INTEGER = 2**53

_WORDS: Mapping[Mark, str] = {"hashed": "stored as hash", "no": "not stored"}


def require_mark(name: str, node: Mapping[str, Any]) -> None:
    """Raise BadUpload for an unknown mark, which would otherwise be taken for protection."""
    if MARK_KEY in node and node[MARK_KEY] not in _MARKS:
        raise BadUpload(
            f'The schema\'s column {name!r}: {MARK_KEY} is {node[MARK_KEY]!r}; allowed is "hashed" (a keyed hash is '
            'stored) or "no" (nothing is stored). Leave it out to store the value.'
        )


def marks_of(properties: Mapping[str, Mapping[str, Any]]) -> dict[str, Mark]:
    """The marked columns of a flat schema."""
    return {name: cast(Mark, node[MARK_KEY]) for name, node in properties.items() if node.get(MARK_KEY) in _MARKS}


def redacted_rows(
    rows: Sequence[Mapping[str, Any]], marks: Mapping[str, Mark], *, key: bytes, scope: str
) -> list[dict[str, Any]]:
    """Rows with marked columns hashed or left out. Equal values have equal hashes within one `scope`."""
    return [_redacted_row(row, marks, key, scope) for row in rows]


def without_marked(row: Mapping[str, Any], marks: Mapping[str, Mark]) -> dict[str, Any]:
    """A row without its marked columns."""
    return {name: value for name, value in row.items() if name not in marks}


def shown_text(row: Mapping[str, Any], name: str, marks: Mapping[str, Mark]) -> str:
    """What is shown in place of a redacted value, also before its prediction has ended; "" for any other value."""
    if name not in marks or (name in row and row[name] is None):
        return ""
    return _WORDS[marks[name]]


def description(marks: Mapping[str, Mark]) -> str:
    """For the report of an inspection: the redacted columns, as sentences; "" for none."""
    by_mark = {mark: [name for name in marks if marks[name] == mark] for mark in _MARKS}
    words = {"no": "Not stored", "hashed": "Stored as a hash only"}
    return "".join(f" {words[mark]}: {', '.join(names)}." for mark, names in by_mark.items() if names)


def mark_hint(node: Mapping[str, Any]) -> str:
    """The sentence for the form's field of a redacted column; "" for any other column."""
    words = {"hashed": "Stored as a hash only.", "no": "Not stored."}
    return words.get(str(node.get(MARK_KEY)), "")


def _redacted_row(row: Mapping[str, Any], marks: Mapping[str, Mark], key: bytes, scope: str) -> dict[str, Any]:
    return {
        name: _hashed(value, key, f"{scope}\0{name}\0") if name in marks else value
        for name, value in row.items()
        if marks.get(name) != "no"
    }


def _hashed(value: Any, key: bytes, scope: str) -> str | None:
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) < _MOST_EXACT_INTEGER:
        value = int(value)  # 1.0 and 1 are the same number to a model
    text = scope + json.dumps(value)  # json.dumps escapes lone surrogates, which UTF-8 cannot encode
    return _PREFIX + hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
