"""Whether a table has the columns that somebody needs, with what it may have meant instead. Pure."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mlserve.errors import BadUpload

_SHOWN_NAMES, _SHOWN_CHARACTERS = 20, 120


def require_columns(
    rows: Sequence[Mapping[str, Any]], needed: Sequence[str], source: str, *, optional: Sequence[str] = ()
) -> None:
    """Raise BadUpload with the columns that no row has. `source` is who needs them, as "the pipeline".

    An `optional` column may be absent, unless one that is there is only written otherwise: it would stay unused.
    """
    present = names_in(rows)
    taken = dict.fromkeys((*needed, *optional))
    others = [name for name in present if name not in taken]
    meant = alike(others, [name for name in taken if name not in present])
    missing = [name for name in dict.fromkeys((*needed, *meant.values())) if name not in present]
    if not missing:
        return
    hint = f"It has {listed(list(present))}." if present else "There are no columns."
    if meant:
        hint = f"It writes {listed([f'{other!r} for {name!r}' for other, name in meant.items()])}: name columns alike."
    raise BadUpload(f"Columns that {source} needs are absent: {listed(missing)}. {hint}")


def names_in(rows: Iterable[Mapping[str, Any]]) -> dict[str, None]:
    """The names of all columns in the order in which they come."""
    names: dict[str, None] = {}
    for row in rows:
        if row.keys() != names.keys():
            names.update(dict.fromkeys(row))
    return names


def alike(written: Iterable[str], needed: Iterable[str]) -> dict[str, str]:
    """Which of the `written` names differ only in case, blanks and punctuation from one that is needed."""
    by_letters = {_letters(name): name for name in needed}
    found = {name: by_letters.get(_letters(name)) for name in written}
    return {name: meant for name, meant in found.items() if meant is not None}


def repeated_in(names: Iterable[str]) -> list[str]:
    return sorted(name for name, count in Counter(names).items() if count > 1)


def listed(names: Sequence[str]) -> str:
    """The first names, each cut to a bearable length."""
    shown = ", ".join(_cut(name, _SHOWN_CHARACTERS) for name in names[:_SHOWN_NAMES])
    return shown + (f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else "")


def _letters(name: str) -> str:
    composed = unicodedata.normalize("NFKC", name).casefold()  # macOS writes ö as two characters
    return "".join(character for character in composed if character.isalnum()) or name


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length]}…"
