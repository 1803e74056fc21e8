"""What the lines of a log are about: the request, the prediction, the version, and the process that writes them.

Whoever works on something says so with `about`; each line that is written meanwhile, also by a library, bears it.
"""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

# The names that a line may bear, in the order in which it does.
FACTS = ("request_id", "prediction_id", "model", "version", "user", "token")

_about: ContextVar[dict[str, Any] | None] = ContextVar("mlserve_log_about", default=None)
_names = {"process": "command", "host": ""}


@contextmanager
def about(**facts: Any) -> Iterator[dict[str, Any]]:
    """Lines of this thread bear `facts` until the end, besides those of whoever stands around it."""
    inner = {**(_about.get() or {}), **facts}
    before = _about.set(inner)
    try:
        yield inner
    finally:
        _about.reset(before)


def note(**facts: Any) -> None:
    """Add to what the innermost `about` says; outside of any it is nothing."""
    current = _about.get()
    if current is not None:
        current.update(facts)


def facts() -> Mapping[str, Any]:
    return _about.get() or {}


def current_request_id() -> str:
    """Of the HTTP request that this thread answers; empty elsewhere."""
    return str(facts().get("request_id", ""))


def name_process(name: str) -> None:
    """`web`, `worker`, `supervisor` or `lambda`; whoever says nothing is a command."""
    _names["process"] = name


def process_facts() -> dict[str, Any]:
    if not _names["host"]:
        _names["host"] = os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME") or socket.gethostname()
    return {"process": _names["process"], "pid": os.getpid(), "host": _names["host"]}
