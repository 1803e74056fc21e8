"""What a check found, in five words that an operator can act on."""

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    OK = "ok"
    FAILED = "failed"
    WARNING = "warning"
    NOT_YET = "not yet"  # it is not deployed
    NOT_KNOWN = "not known"  # the check could not look; `found` says why


@dataclass(frozen=True)
class Finding:
    status: Status
    found: str
    fix: str = ""


class NotYet(Exception):
    """What is asked about is not deployed."""


class NotKnown(Exception):
    """It cannot be looked at; the message says why."""


def ok(found: str) -> Finding:
    return Finding(Status.OK, found)


def failed(found: str, fix: str) -> Finding:
    return Finding(Status.FAILED, found, fix)


def warning(found: str, fix: str) -> Finding:
    return Finding(Status.WARNING, found, fix)
