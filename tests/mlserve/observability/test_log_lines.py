"""Lines that machines and people read: whole, one each, and without secrets and input."""

import json
import logging
import subprocess
import sys
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError

from mlserve.observability import logs
from mlserve.observability.log_lines import JsonLines, TextLines
from tests.flows.service import ROOT

HOSTILE = "one\r\ntwo\x1b[31m\x00three\u2028four\x85five\ud800"


def record(message: str, *args: Any, error: BaseException | None = None, **more: Any) -> logging.LogRecord:
    exc_info = (type(error), error, error.__traceback__) if error else None
    made = logging.LogRecord("some.logger", logging.WARNING, "file.py", 1, message, args, exc_info)
    for name, value in more.items():
        setattr(made, name, value)
    return made


def as_json(*args: Any, quotes_values: bool = False, **more: Any) -> dict[str, Any]:
    line = JsonLines(quotes_values=quotes_values).format(record(*args, **more))
    assert len(line.splitlines()) == 1
    found: dict[str, Any] = json.loads(line)
    return found


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    try:
        raise error from cause
    except type(error) as caught:
        return caught


def test_it_says_when_who_and_what() -> None:
    line = as_json("%d of %s", 3, "four")

    assert line["message"] == "3 of four"
    assert (line["level"], line["logger"]) == ("WARNING", "some.logger")
    assert line["time"].endswith("Z")
    assert line["pid"]
    assert line["host"]
    assert line["process"]


def test_it_bears_what_the_work_is_about() -> None:
    with logs.about(request_id="r1"):
        logs.add_facts(prediction_id="p1")
        with logs.about(model="census"):
            inner = as_json("x")
        outer = as_json("x")

    assert (inner["request_id"], inner["prediction_id"], inner["model"]) == ("r1", "p1", "census")
    assert "model" not in outer
    assert "request_id" not in as_json("x")


def test_it_shows_no_more_of_a_record_than_it_was_asked_to() -> None:
    line = as_json("x", request=object(), body='{"name": "Maria"}', facts={"status": 200})

    assert line["status"] == 200
    assert "Maria" not in json.dumps(line)


def test_it_makes_one_line_of_whatever_was_sent() -> None:
    line = as_json("%s", HOSTILE, facts={"path": HOSTILE}, error=raised(OSError(HOSTILE)))

    assert line["message"].startswith("one\r\ntwo")


def test_it_lets_no_value_forge_a_line_for_people() -> None:
    with logs.about(request_id="a\n2026-01-01T00:00:00.000Z INFO x: forged"):
        text = TextLines(quotes_values=True).format(record("%s", HOSTILE, error=raised(OSError(HOSTILE))))

    first, *below = text.splitlines()
    assert "\\u000a" in first
    assert "\x1b" not in text
    assert below
    assert all(line.startswith("    ") for line in below)


@pytest.mark.parametrize(
    "said",
    [
        "GET https://s3/bucket/key?X-Amz-Signature=SECRETSECRETSECRET&x=1",
        "redis://user:SECRETSECRETSECRET@host:6379/0",
        "header Authorization: Token SECRETSECRETSECRET",
        "Bearer SECRETSECRETSECRET was refused",
        "{'Cookie': 'sessionid=SECRETSECRETSECRET; b=c'}",
        "X-Amz-Security-Token=SECRETSECRETSECRET",
    ],
)
def test_it_cuts_out_secrets(said: str) -> None:
    line = as_json("%s", said, error=raised(OSError(said)))

    assert "SECRET" not in json.dumps(line)


def test_it_keeps_addresses_without_their_query() -> None:
    assert as_json("GET https://host/path?name=Maria")["message"] == "GET https://host/path?…"


@pytest.mark.parametrize(
    "error",
    [
        ValueError("could not convert string to float: 'Maria'"),
        KeyError("Maria"),
        IntegrityError("refused\nDETAIL: Failing row contains (Maria)"),
        OperationalError("the server is gone\nDETAIL: (Maria)"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_it_quotes_no_value_of_an_exception(error: Exception) -> None:
    line = as_json("failed", error=raised(RuntimeError("outer"), cause=raised(error)))

    assert "Maria" not in line["exception"]
    assert type(error).__name__ in line["exception"]
    assert line["exception"].endswith("builtins.RuntimeError: outer")
    assert "test_log_lines.py" in line["exception"]


def test_it_quotes_values_where_the_owner_sits_before_it() -> None:
    assert "Maria" in as_json("failed", error=raised(KeyError("Maria")), quotes_values=True)["exception"]


def test_it_bounds_a_line() -> None:
    line = as_json("%s", "x" * 10**6, error=raised(OSError("y" * 10**6)))

    assert len(json.dumps(line)) < 20_000


def test_it_writes_numbers_that_json_has_no_room_for() -> None:
    assert as_json("x", facts={"bytes": 2**70})["bytes"] == 2**70


_UNCAUGHT = """
import os, sys, threading, warnings
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mlserve.settings")
import django
django.setup()
from mlserve.observability.log_lines import log_uncaught_errors
log_uncaught_errors(quotes_values=False)
said = sys.argv[1]  # no literal: tracebacks quote lines of source, of such programs too since Python 3.13
warnings.warn(f"saw {said}")
warnings.warn("old", FutureWarning)
def fail(): raise OSError("in a thread")
thread = threading.Thread(target=fail)
thread.start()
thread.join()
raise ValueError(said)
"""


def test_it_writes_uncaught_exceptions_like_everything_else(tmp_path: Any) -> None:
    environment = {
        "PYTHONPATH": str(ROOT), "MLSERVE_DATA_DIR": str(tmp_path), "SECRET_KEY": "x" * 60, "ALLOWED_HOSTS": "here",
    }  # fmt: skip
    command = [sys.executable, "-c", _UNCAUGHT, "Maria"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)

    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.returncode == 1
    assert [line["level"] for line in lines] == ["WARNING", "WARNING", "ERROR", "CRITICAL"]
    assert "Maria" not in done.stderr
    assert "FutureWarning: old" in lines[1]["message"]
    assert "in a thread" in lines[2]["exception"]
