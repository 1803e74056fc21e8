"""The limit for calls that hang: an exception where Python code runs, the process's end where C code does."""

import contextlib
import subprocess
import sys
import threading
import time

import pytest

from mlserve.aws_lambda.time_limit import TimeLimitReached, time_limit
from tests.paths import ROOT

# `sum` of a range stays in C for hours, with the interpreter's lock, and looks at no signal.
_HANGS_IN_C = """
from mlserve.aws_lambda import time_limit

time_limit.GRACE_SECONDS = 0.5
with time_limit.time_limit(0.5):
    sum(range(10**12))
"""


def test_it_ends_what_python_can_interrupt() -> None:
    started = time.monotonic()

    with pytest.raises(TimeLimitReached, match=r"longer than 0\.2 s"), time_limit(0.2):
        time.sleep(10)

    assert time.monotonic() - started < 5


def test_it_passes_through_a_handler_of_errors() -> None:
    with pytest.raises(TimeLimitReached), time_limit(0.1), contextlib.suppress(Exception):
        time.sleep(10)


def test_it_leaves_a_quick_call_alone() -> None:
    with time_limit(0.1):
        pass

    time.sleep(0.2)


def test_it_ends_the_process_where_python_has_no_say() -> None:
    started = time.monotonic()

    done = subprocess.run(
        [sys.executable, "-c", _HANGS_IN_C], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 1
    assert "most recent call first" in done.stderr
    assert time.monotonic() - started < 20


def test_it_works_in_another_thread_without_the_alarm() -> None:
    ended: list[bool] = []

    def call() -> None:
        with time_limit(0.1):
            time.sleep(0.3)
        ended.append(True)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()

    assert ended == [True]
