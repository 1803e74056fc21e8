"""Names that stay apart in generated code, where signs and capitals are lost. Pure."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import sha256

_SIGNS = re.compile(r"[\W_]+")
_OTHER_THAN_ASCII = re.compile(r"[^a-z0-9]+")
_DIGEST_CHARACTERS = (4, 8, 64)


def identifiers(names: Iterable[str]) -> dict[str, str]:
    """An identifier in snake case for each name, which no other one equals without signs and capitals.

    The first of several similar names gets the plain one: those of older models stay when a new one comes.
    """
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        plain = _OTHER_THAN_ASCII.sub("_", name.lower()).strip("_")
        plain = plain if plain[:1].isalpha() else f"model_{plain}"
        digest = sha256(name.encode()).hexdigest()
        candidates = [plain, *(f"{plain}_{digest[:length]}" for length in _DIGEST_CHARACTERS)]
        found[name] = next(each for each in candidates if _folded(each) not in taken)
        taken.add(_folded(found[name]))
    return found


def in_pascal_case(identifier: str) -> str:
    """`penguins_eu` as `PenguinsEu`."""
    return "".join(part.capitalize() for part in identifier.split("_"))


def are_apart(names: Sequence[str]) -> bool:
    """Whether names can become members of one class, each recognizable by its letters and digits alone."""
    return len(apart(names)) == len(names)


def apart(names: Sequence[str]) -> list[str]:
    """Those of `names` that have letters or digits, and that no other one equals in these."""
    folded = Counter(map(_folded, names))
    return [name for name in names if _folded(name) and folded[_folded(name)] == 1]


def _folded(name: str) -> str:
    return _SIGNS.sub("", name.lower())
