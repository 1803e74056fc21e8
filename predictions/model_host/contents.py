"""What the bodies of messages hold: a specification, a call, an answer. Pure."""

import marshal
import re
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

import jiter
import orjson

from predictions.model_host.errors import ModelRaised, ModelRefused, WrongAnswers
from registry.schema.columns import Columns

_MOST_KIND, _MOST_WORDS = 100, 2_000

Answers = dict[str, list[Any]]

# Reading so many takes a second, in which no other thread of the reader runs.
MOST_VALUES = 1_500_000
# A number beyond float64, which a JSON text may have, becomes an infinite one, which it may not.
_INFINITE = re.compile(rb"[0-9][eE]\+?[0-9]{3}")


@dataclass(frozen=True)
class Specification:
    """What a client says of an artifact, in plain values, which marshal carries."""

    artifact_format: str
    schema: dict[str, Any]
    columns: list[dict[str, Any]]
    container: str
    trusted: list[str]
    most_bytes: int

    def packed(self) -> bytes:
        return marshal.dumps(astuple(self))

    @classmethod
    def unpacked(cls, body: bytes) -> "Specification":
        return cls(*marshal.loads(body))  # noqa: S302 - of this service


def packed_call(columns: Columns, row_count: int, outputs: Sequence[str]) -> bytes:
    """Valid rows as columns, and the names of methods."""
    call: Any = (columns, row_count, outputs)
    return marshal.dumps(call)


def unpacked_call(body: bytes) -> tuple[Columns, int, list[str]]:
    columns, row_count, outputs = marshal.loads(body)  # noqa: S302 - of this service
    return columns, row_count, outputs


def values_in(body: bytes) -> int:
    """About how many values a JSON text has; commas in texts count, too."""
    return sum(map(body.count, (b",", b"[", b"{")))


def read_answers(body: bytes, *, names: Sequence[str], row_count: int) -> Answers:
    """One list of `row_count` JSON values for each of `names`. Raises WrongAnswers for anything else."""
    answers = _json(body)
    if not isinstance(answers, dict) or set(answers) != set(names):
        raise WrongAnswers("It gave other answers than it was asked for.")
    for name, values in answers.items():
        if not isinstance(values, list) or len(values) != row_count:
            raise WrongAnswers(f"It gave no list of {row_count} {name}.")
    return answers


def read_raised(body: bytes) -> Exception:
    """What the pipeline raised for the rows of a call."""
    facts = _texts(body)
    kind, message = facts.get("kind", ""), facts.get("message", "")
    if kind == WrongAnswers.RAISED_AS:
        return WrongAnswers(message[:_MOST_WORDS])
    return ModelRaised(kind[:_MOST_KIND], message[:_MOST_WORDS])


def read_refused(body: bytes) -> ModelRefused:
    """Why an artifact was not loaded."""
    facts = _texts(body)
    return ModelRefused(facts.get("detail", "")[:_MOST_WORDS], facts.get("untrusted", "")[:_MOST_WORDS])


def read_ready(body: bytes) -> tuple[float, tuple[str, ...]]:
    """How many seconds loading took, and the parts of the sandbox that are in force. Raises ModelRefused for what does
    not say so: code of the artifact wrote it.
    """
    try:
        match _json(body):
            case {"seconds": float(seconds), "sandbox": [*held]} if all(isinstance(part, str) for part in held):
                return seconds, tuple(held)
    except WrongAnswers:
        pass
    raise ModelRefused("It did not say how it was loaded.")


def _texts(body: bytes) -> dict[str, str]:
    facts = _json(body)
    return {name: value for name, value in facts.items() if isinstance(value, str)} if isinstance(facts, dict) else {}


def _json(body: bytes) -> Any:
    if values_in(body) > MOST_VALUES:
        raise WrongAnswers(f"It gave more than {MOST_VALUES} values.")
    try:
        if _INFINITE.search(body):
            orjson.loads(body)  # which refuses a number beyond float64
        return jiter.from_json(body, allow_inf_nan=False, cache_mode="keys")
    except ValueError as error:
        raise WrongAnswers("It wrote what is no JSON.") from error
