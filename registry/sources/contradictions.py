"""What a written schema says of a column beside what the fitted pipeline learned. Pure."""

from collections.abc import Sequence
from typing import Any

from mlserve.errors import BadUpload
from registry.pipelines.facts import Facts
from registry.schema import privacy
from registry.schema.date_formats import is_of_format
from registry.schema.flattening import NEVER_MISSING, types_of

_NUMBERS = frozenset({"number", "integer", "boolean"})
_SHOWN = 6
_PYTHON_TYPES = {
    "string": "string (in Python str)",
    "integer": "integer (in Python int)",
    "number": "number (in Python float)",
    "boolean": "boolean (in Python bool)",
}
# Beyond this, a float64 cannot hold every whole number.
MOST_EXACT = 2**53


def agreed(name: str, node: dict[str, Any], known: Facts, *, is_required: bool) -> tuple[dict[str, Any], list[str]]:
    """The written property with what the pipeline knows, and doubts about it as sentences.

    Raises BadUpload where both cannot be true: text against numbers, or no value in common.
    """
    _require_same_kind(name, node, known)
    node = _as_learned_text(name, node, known)
    node, doubts = _with_known_values(name, node, known)
    node = {**_annotations_for(node, known), **node}
    if types_of(node)[0] == "number" and known.get("type") == "integer" and not has_exact_floats(known):
        node["type"] = ["integer", "null"] if types_of(node)[1] else "integer"
    return with_possible_dtype(node, may_be_absent=not is_required), doubts


def has_exact_floats(known: Facts) -> bool:
    """Whether floats can hold the whole numbers that an encoder learned: with gaps, a column becomes one of floats."""
    return known.get("type") != "integer" or all(abs(value) <= MOST_EXACT for value in _learned(known))


def with_possible_dtype(node: dict[str, Any], *, may_be_absent: bool = False) -> dict[str, Any]:
    """Without a dtype that has no missing value, where the column may be missing."""
    if (types_of(node)[1] or may_be_absent) and NEVER_MISSING.fullmatch(str(node.get("x-dtype", ""))):
        return {key: value for key, value in node.items() if key != "x-dtype"}
    return node


def _require_same_kind(name: str, node: dict[str, Any], known: Facts) -> None:
    kind, learned = types_of(node)[0], _learned(known)
    is_date = node.get("format") in ("date", "date-time")
    if known.get("format") and not is_date:
        raise BadUpload(
            f"The schema's column {name!r} has the type {kind}, but the encoder learned datetimes. Declare it as date "
            "or datetime."
        )
    is_text = known.get("type") == "string"
    if known.get("type") is None or not (learned or is_text) or (kind in _NUMBERS) != is_text:
        return
    what = f"the encoder learned {_shown(learned)}" if learned else "the pipeline takes texts"
    raise BadUpload(
        f"The schema's column {name!r} has the type {kind}, but {what}: no value would be known to it. Declare it as "
        f"{_PYTHON_TYPES[known['type']]}, as the training data had it."
    )


def _as_learned_text(name: str, node: dict[str, Any], known: Facts) -> dict[str, Any]:
    """A column of dates that the pipeline learned as texts stays text: no datetime would be known to it."""
    is_date = node.get("format") in ("date", "date-time")
    if not is_date or "x-dtype" in node or known.get("type") != "string" or known.get("format"):
        return node
    learned = _learned(known)
    if learned and not any(is_of_format(node["format"], value) for value in learned):
        raise BadUpload(
            f"The schema's column {name!r} is a {node['format']}, but the encoder learned the texts {_shown(learned)}: "
            "no value would be known to it. Declare it as string (in Python str), as the training data had it."
        )
    return {**node, "x-dtype": "str"}


def _with_known_values(name: str, node: dict[str, Any], known: Facts) -> tuple[dict[str, Any], list[str]]:
    """An enum of the schema without what the encoder refuses. A column without enum gets that of such an encoder."""
    learned, is_closed = _in_type(types_of(node)[0], _learned(known)), "enum" in known
    is_redacted = bool(privacy.marks_of({"": node}))
    if not learned and not _learned(known):
        return node, []
    if learned and "enum" not in node:
        is_alike = node.get("x-dtype") == "str" or known.get("format") == (node.get("format") or known.get("format"))
        null = [None] if types_of(node)[1] else []
        return ({**node, "enum": [*learned, *null]} if is_closed and not is_redacted and is_alike else node), []
    offered = [value for value in node.get("enum", (True, False)) if value is not None]
    unknown = [value for value in offered if value not in learned]
    if len(unknown) == len(offered):
        raise BadUpload(
            f"The schema's column {name!r} allows {_shown(offered)}, but the encoder learned "
            f"{_shown(_learned(known))}: they have no value in common. Write the values as the training data had them."
        )
    if not unknown:
        return node, []
    if not is_closed:
        return node, [f"{name}: training did not see {_shown(unknown)}, which count as unknown values."]
    kept = [value for value in node["enum"] if value not in unknown]
    return {**node, "enum": kept}, [
        f"{name}: the encoder refuses {_shown(unknown)}, so requests with it are refused, too."
    ]


def _in_type(kind: str, learned: Sequence[Any]) -> Sequence[Any]:
    """Learned booleans as the numbers that a schema says, and the reverse: JSON tells true from 1, encoders do not."""
    if kind == "boolean":
        return [bool(value) for value in learned if value in (0, 1)]
    return [int(value) if isinstance(value, bool) else value for value in learned]


def _annotations_for(node: dict[str, Any], known: Facts) -> dict[str, Any]:
    """The annotations from training that fit the type of value that the schema allows.

    A redacted column gets no training values: schemas may be public, and the values are personal data.
    """
    kind = types_of(node)[0]
    keys = {"x-missing"}
    if kind in ("number", "integer"):
        keys |= {"x-training-range", "x-training-usual"}
    if "enum" not in node and not privacy.marks_of({"": node}):
        keys.add("x-training-values")
    if known.get("type") == kind and known.get("format", node.get("format")) == node.get("format"):
        keys.add("x-dtype")
    if "date" in (known.get("format"), node.get("format")) and known.get("format") != node.get("format"):
        keys.discard("x-training-values")
    return {key: value for key, value in known.items() if key in keys}


def _learned(known: Facts) -> Sequence[Any]:
    values: Sequence[Any] = known.get("enum") or known.get("x-training-values") or ()
    return [value for value in values if value is not None]


def _shown(values: Sequence[Any]) -> str:
    more = f" and {len(values) - _SHOWN} more" if len(values) > _SHOWN else ""
    return ", ".join(repr(value) for value in values[:_SHOWN]) + more
