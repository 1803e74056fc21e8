"""Log records as lines: one JSON object each for programs, or text for people.

A line contains no input and no secret, also when a library wrote it: query strings and credentials are removed, and of
an exception that may quote a value only its kind is shown. No input can make one line look like two.
"""

import json
import logging
import re
import sys
import threading
import traceback
import warnings
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import orjson
from django.db import DataError, IntegrityError

from mlserve.observability import logs

log = logging.getLogger(__name__)

# Lines of other processes could interrupt one that is longer than a pipe writes at once; containers cut at 16 KiB.
_MOST_MESSAGE, _MOST_TRACEBACK = 4_000, 10_000
_MOST_QUOTED = 300
_NOT_SHOWN = "(not shown: it may quote a value)"
# Their messages usually quote the value.
_QUOTES_VALUES = (ValueError, TypeError, LookupError, ArithmeticError, AssertionError, DataError, IntegrityError)
_CUT_OUT = (
    (re.compile(r"(?<=://)[^\s/?#@'\"]+@"), "…@"),
    (re.compile(r"(://[^\s?'\"<>]+\?)[^\s'\"<>]+"), r"\1…"),
    (re.compile(r"(?i)\b((?:X-Amz-[\w-]+|Signature|AWSAccessKeyId)=)[^\s&'\"<>]+"), r"\1…"),
    (re.compile(r"(?i)\b(bearer|basic|token)\s+[A-Za-z0-9._~+/=-]{16,}"), r"\1 …"),
    (re.compile(r"(?i)\b((?:authorization|(?:set-)?cookie)['\"]?\s*[:=]\s*)[^\r\n]+"), r"\1…"),
)
_MAY_NEED_CUTTING = re.compile(r"(?i)://|=|bearer|basic|token|authorization|cookie")
# Control sequences of terminals, and what some readers take for the end of a line. Lone surrogates come from paths.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_CONTROL_IN_JSON = re.compile("[\x7f-\x9f\u2028\u2029]")


class _Line(logging.Formatter):
    """`quotes_values` is for a laptop, whose owner may read all inputs."""

    def __init__(self, *, quotes_values: bool = False) -> None:
        super().__init__()
        self._quotes_values = quotes_values

    def _message(self, record: logging.LogRecord) -> str:
        return _shortened(without_secrets(record.getMessage()), _MOST_MESSAGE)

    def _traceback(self, record: logging.LogRecord) -> str:
        """Empty where there is none. Innermost cause first, as Python prints it."""
        if not record.exc_info or record.exc_info[1] is None:
            return ""
        parts = [self._of_one(error) for error in causes_first(record.exc_info[1])]
        return _shortened(without_secrets("\n\n".join(parts)), _MOST_TRACEBACK)

    def _of_one(self, error: BaseException) -> str:
        frames = "".join(traceback.format_list(traceback.extract_tb(error.__traceback__))).rstrip()
        message = str(error) if self._quotes_values else safely_said(error)
        said = f"{type(error).__module__}.{type(error).__qualname__}: {message}"
        return f"{frames}\n{said}" if frames else said


class JsonLines(_Line):
    """`{"time", "level", "logger", "message", …}`; other attributes of a record than `facts` are not shown."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _moment(record),
            "level": record.levelname,
            "logger": record.name,
            "message": self._message(record),
            **logs.facts(),
            **getattr(record, "facts", {}),
            **logs.process_facts(),
        }
        if seen := self._traceback(record):
            line["exception"] = seen
        return _dumped(line)


class TextLines(_Line):
    """For people. What follows a line, such as a traceback, is indented, so that it cannot look like another line."""

    def format(self, record: logging.LogRecord) -> str:
        facts = {**logs.facts(), **getattr(record, "facts", {})}
        known = " ".join(f"{name}={facts[name]}" for name in logs.FACTS if facts.get(name))
        message = _escaped(self._message(record)) + (f" [{_escaped(known)}]" if known else "")
        line = f"{_moment(record)} {record.levelname} {record.name}: {message}"
        below = [f"    {_escaped(each)}" for each in self._traceback(record).split("\n") if each]
        return "\n".join([line, *below])


def safely_said(error: BaseException) -> str:
    """The first line of an exception's message, unless exceptions of its kind quote inputs."""
    if isinstance(error, _QUOTES_VALUES) and not isinstance(error, UnicodeDecodeError):
        return _NOT_SHOWN
    return _shortened(str(error).partition("\n")[0], _MOST_QUOTED)


def log_uncaught_errors(*, quotes_values: bool) -> None:
    """Exceptions that end a process or a thread, and warnings, become lines like all others."""

    def ended(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, where)
        else:
            log.critical("The process ends by an unexpected error", exc_info=(kind, error, where))

    def thread_ended(arguments: threading.ExceptHookArgs) -> None:
        if arguments.exc_value is not None and not isinstance(arguments.exc_value, SystemExit):
            log.error("A thread ended by an unexpected error", exc_info=arguments.exc_value)

    def warned(message: Any, category: type[Warning], filename: str, lineno: int, *_: Any, **__: Any) -> None:
        # Libraries of a pipeline use the most general kind of warning for messages that quote values.
        said = message if quotes_values or category is not UserWarning else _NOT_SHOWN
        log.warning("%s:%d: %s: %s", filename, lineno, category.__name__, said)

    sys.excepthook, threading.excepthook = ended, thread_ended
    warnings.showwarning = warned


def causes_first(error: BaseException) -> list[BaseException]:
    """The causes of an exception, and itself, in the order in which Python prints them."""
    found: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in found:
        found.append(following)
        following = following.__cause__ or (None if following.__suppress_context__ else following.__context__)
    return found[::-1]


def _moment(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def without_secrets(text: str) -> str:
    """`text` without credentials, and without the queries of addresses, which may contain signatures."""
    if _MAY_NEED_CUTTING.search(text):
        for secret, left in _CUT_OUT:
            text = secret.sub(left, text)
    return text


def _shortened(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]} … {text[-half:]}"


def _escaped(text: str) -> str:
    return text if text.isprintable() else _CONTROL.sub(_as_json_escape, text)


def _dumped(line: dict[str, Any]) -> str:
    try:
        text = orjson.dumps(line, default=str).decode()
    except TypeError:  # a lone surrogate, or a number beyond 64 bits
        text = json.dumps(line, default=str)
    return text if text.isascii() and "\x7f" not in text else _CONTROL_IN_JSON.sub(_as_json_escape, text)


def _as_json_escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
