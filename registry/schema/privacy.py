"""Columns that must not be kept as they came, and what is kept of their values. Pure.

A property of a schema may say `"x-stored": "no"` or `"x-stored": "hashed"`. The model gets such a value all the same;
what is kept once the prediction has ended is nothing, or a hash. Hashes are keyed: whoever knows all postcodes could
otherwise try them. Equal values of one model and column have equal hashes, so that predictions can still be joined.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

from mlserve.errors import BadUpload

Mark = Literal["hashed", "no"]

NOTE = "x-stored"
_MARKS = ("hashed", "no")
_PREFIX = "hmac-sha256:"
# Of a float that is a whole number: beyond it not every whole number is one.
_MOST_EXACT = 2**53

_WORDS: Mapping[Mark, str] = {"hashed": "stored as hash", "no": "not stored"}


def require_mark(name: str, node: Mapping[str, Any]) -> None:
    """Raise BadUpload for a mark that means nothing: it must not pass for protection."""
    if NOTE in node and node[NOTE] not in _MARKS:
        raise BadUpload(
            f'The schema\'s column {name!r}: {NOTE} is {node[NOTE]!r}; allowed is "hashed" (a keyed hash is kept) '
            'or "no" (nothing is kept). Leave it out to keep the value.'
        )


def marks_of(properties: Mapping[str, Mapping[str, Any]]) -> dict[str, Mark]:
    """The marked columns of a flat schema."""
    return {name: cast(Mark, node[NOTE]) for name, node in properties.items() if node.get(NOTE) in _MARKS}


def what_is_kept(
    rows: Sequence[Mapping[str, Any]], marks: Mapping[str, Mark], *, key: bytes, scope: str
) -> list[dict[str, Any]]:
    """Rows without what the marks forbid. `scope` is where equal values have equal hashes."""
    return [_kept_row(row, marks, key, scope) for row in rows]


def without_marked(row: Mapping[str, Any], marks: Mapping[str, Mark]) -> dict[str, Any]:
    """A row's other columns."""
    return {name: value for name, value in row.items() if name not in marks}


def shown_text(row: Mapping[str, Any], name: str, marks: Mapping[str, Mark]) -> str:
    """What people see in place of a value, also before its prediction has ended; "" where they may see it."""
    if name not in marks or (name in row and row[name] is None):
        return ""
    return _WORDS[marks[name]]


def description(marks: Mapping[str, Mark]) -> str:
    """For the report of an inspection: which columns are not kept, as sentences; "" for none."""
    by_mark = {mark: [name for name in marks if marks[name] == mark] for mark in _MARKS}
    words = {"no": "Not stored", "hashed": "Stored as a hash only"}
    return "".join(f" {words[mark]}: {', '.join(names)}." for mark, names in by_mark.items() if names)


def note(node: Mapping[str, Any]) -> str:
    """What to tell whoever fills in a column, as a sentence; "" for most."""
    words = {"hashed": "Stored as a hash only.", "no": "Not stored."}
    return words.get(str(node.get(NOTE)), "")


def _kept_row(row: Mapping[str, Any], marks: Mapping[str, Mark], key: bytes, scope: str) -> dict[str, Any]:
    return {
        name: _hashed(value, key, f"{scope}\0{name}\0") if name in marks else value
        for name, value in row.items()
        if marks.get(name) != "no"
    }


def _hashed(value: Any, key: bytes, scope: str) -> str | None:
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) < _MOST_EXACT:
        value = int(value)  # 1.0 and 1 are the same number to a model
    text = scope + json.dumps(value)  # as ASCII, also what is no UTF-8: half of a surrogate pair
    return _PREFIX + hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
