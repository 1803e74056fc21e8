"""The queues of SQS themselves: made as they should be, compared with that, brought back to it.

Each queue has another one for dead letters, `NAME-dead`, where messages end that no worker could handle.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlserve.errors import BadParameter, QueueMissing
from predictions.queue.sqs_messages import LONGEST_WAIT_SECONDS, address_of, answering, attributes_of, client

# The worker function's, in zappa_settings.json.
WORKER_TIMEOUT_SECONDS = 300
# Amazon's advice: room for a delivery to be throttled and tried again before its messages show up once more.
_VISIBILITY_TIMES = 6
_LONGEST_VISIBILITY_SECONDS = 12 * 3600
_MOST_RECEIVED = 5
_LONGEST_NAME = 80
_TLS_ONLY = "OnlyWithTls"

Attributes = Mapping[str, str]


@dataclass(frozen=True)
class Made:
    """What `create` did: `corrected` says what was wrong with a queue that was there."""

    name: str
    is_new: bool
    corrected: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Rule:
    """One attribute: whether what a queue has will do, the value that does, and the fault in words if not."""

    attribute: str
    is_met: Callable[[Attributes], bool]
    value: Callable[[Attributes], str]
    fault: str


def dead_letters_of(name: str) -> str:
    return f"{name}-dead"


def create(
    name: str, *, region: str | None = None, worker_timeout_seconds: int = WORKER_TIMEOUT_SECONDS
) -> tuple[Made, Made]:
    """Make or mend the queue and its dead-letter queue; safe to repeat. Raises BadParameter or Unavailable.

    What is better than it must be, as a longer retention, stays, and so does what others added to the policy.
    """
    _check_name(name)
    dead = _ensure(dead_letters_of(name), _DEAD_LETTERS, region)
    return _ensure(name, _rules(name, worker_timeout_seconds), region), dead


def problems_of(
    name: str, *, region: str | None = None, worker_timeout_seconds: int = WORKER_TIMEOUT_SECONDS
) -> list[str]:
    """What `create` would mend, in words; empty when all is well. Raises Unavailable when SQS does not tell."""
    return [
        *_problems(name, _rules(name, worker_timeout_seconds), region),
        *_problems(dead_letters_of(name), _DEAD_LETTERS, region),
    ]


def _check_name(name: str) -> None:
    most = _LONGEST_NAME - len(dead_letters_of(""))
    if not 0 < len(name) <= most or not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
        raise BadParameter(
            f"{name!r} cannot be the name of a queue: 1 to {most} letters, digits, hyphens and underscores, "
            "and no .fifo, for the order of wake-ups does not matter."
        )


def _ensure(name: str, rules: Sequence[_Rule], region: str | None) -> Made:
    try:
        address, is_new = address_of(name, region=region), False
    except QueueMissing:
        with answering("making it", name):
            address, is_new = client(region=region).create_queue(QueueName=name)["QueueUrl"], True
    found = attributes_of(name, ["All"], region=region)
    broken = [rule for rule in rules if not rule.is_met(found)]
    if broken:
        # The policy always goes along: not every server that speaks SQS keeps one that is left out.
        values = {**{rule.attribute: rule.value(found) for rule in broken}, "Policy": _policy_with_tls(found)}
        with answering("setting attributes", name):
            client(region=region).set_queue_attributes(QueueUrl=address, Attributes=values)
    return Made(name, is_new, () if is_new else tuple(rule.fault for rule in broken))


def _problems(name: str, rules: Sequence[_Rule], region: str | None) -> list[str]:
    try:
        found = attributes_of(name, ["All"], region=region)
    except QueueMissing:
        return [f"there is no queue {name}"]
    return [f"{name} {rule.fault}" for rule in rules if not rule.is_met(found)]


def _rules(name: str, worker_timeout_seconds: int) -> list[_Rule]:
    visibility = min(_VISIBILITY_TIMES * worker_timeout_seconds, _LONGEST_VISIBILITY_SECONDS)
    return [
        _at_least(
            "VisibilityTimeout",
            visibility,
            f"hides a message that was received for less than {visibility} s "
            f"({_VISIBILITY_TIMES} times the worker's {worker_timeout_seconds} s)",
        ),
        _at_least("MessageRetentionPeriod", 4 * 24 * 3600, "keeps messages for less than four days"),
        _at_least("ReceiveMessageWaitTimeSeconds", LONGEST_WAIT_SECONDS, "answers at once when it is empty"),
        _Rule(
            "RedrivePolicy",
            lambda found: _parsed(found, "RedrivePolicy") == _parsed({"it": _redrive(found)}, "it"),
            _redrive,
            f"does not put messages into {dead_letters_of(name)} after {_MOST_RECEIVED} tries",
        ),
        *_SAFETY,
    ]


def _at_least(attribute: str, least: int, fault: str) -> _Rule:
    return _Rule(attribute, lambda found: int(found.get(attribute, 0)) >= least, lambda _found: str(least), fault)


def _redrive(found: Attributes) -> str:
    target = dead_letters_of(found["QueueArn"])
    return json.dumps({"deadLetterTargetArn": target, "maxReceiveCount": str(_MOST_RECEIVED)})


def _is_encrypted(found: Attributes) -> bool:
    return found.get("SqsManagedSseEnabled") == "true" or bool(found.get("KmsMasterKeyId"))


def _needs_tls(found: Attributes) -> bool:
    return _tls_statement(found) in _statements(found)


def _policy_with_tls(found: Attributes) -> str:
    others = [statement for statement in _statements(found) if statement.get("Sid") != _TLS_ONLY]
    policy = {"Version": "2012-10-17", **_parsed(found, "Policy"), "Statement": [*others, _tls_statement(found)]}
    return json.dumps(policy)


def _tls_statement(found: Attributes) -> dict[str, Any]:
    return {
        "Sid": _TLS_ONLY,
        "Effect": "Deny",
        "Principal": "*",
        "Action": "sqs:*",
        "Resource": found["QueueArn"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def _statements(found: Attributes) -> list[dict[str, Any]]:
    statements = _parsed(found, "Policy").get("Statement", [])
    return statements if isinstance(statements, list) else [statements]


def _parsed(found: Attributes, attribute: str) -> dict[str, Any]:
    """An attribute that is JSON; SQS gives its numbers back as texts or as numbers."""
    parsed = json.loads(found.get(attribute) or "{}", parse_int=str)
    return parsed if isinstance(parsed, dict) else {}


_SAFETY = (
    _Rule("SqsManagedSseEnabled", _is_encrypted, lambda _found: "true", "is not encrypted"),
    _Rule("Policy", _needs_tls, _policy_with_tls, "lets itself be used without TLS"),
)
_DEAD_LETTERS = (
    _at_least("MessageRetentionPeriod", 14 * 24 * 3600, "keeps messages for less than fourteen days"),
    *_SAFETY,
)
