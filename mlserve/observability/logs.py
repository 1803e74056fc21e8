"""The context of log lines: the request, the prediction, the version, and the process that writes them.

Code that works on one of these enters `about`; each line that is written meanwhile, also by a library, contains it.
"""

import os
import socket
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

# The names in a line, in this order.
FACTS = ("request_id", "prediction_id", "model", "version", "user", "token")

_about: ContextVar[dict[str, Any] | None] = ContextVar("mlserve_log_about", default=None)
_names = {"process": "command", "host": ""}


class about:  # noqa: N801 - used in a `with`, where a generator would cost each request three times as much
    """Lines of this thread contain `facts` until the end, besides those of the enclosing blocks."""

    __slots__ = ("_before", "_facts")

    def __init__(self, **facts: Any) -> None:
        self._facts = facts

    def __enter__(self) -> None:
        self._before = _about.set({**(_about.get() or {}), **self._facts})

    def __exit__(self, *_: object) -> None:
        _about.reset(self._before)


def add_facts(**facts: Any) -> None:
    """Add to the facts of the innermost `about`; outside of any this does nothing."""
    current = _about.get()
    if current is not None:
        current.update(facts)


def facts() -> Mapping[str, Any]:
    return _about.get() or {}


def current_request_id() -> str:
    """The id of the HTTP request that this thread answers; empty elsewhere."""
    return str(facts().get("request_id", ""))


def name_process(name: str) -> None:
    """`web`, `worker`, `supervisor` or `lambda`; a process that is not named is a command."""
    _names["process"] = name


def process_facts() -> dict[str, Any]:
    if not _names["host"]:
        _names["host"] = os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME") or socket.gethostname()
    return {"process": _names["process"], "pid": os.getpid(), "host": _names["host"]}
