"""A process learns in any of its threads that it was asked to stop."""

import signal
import subprocess
import sys

import pytest

_ASK = """
import os, signal, sys, time
from mlserve.processes.stopping import notice_stop, seconds_since_stop

notice_stop()
for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(each, lambda *_: None)  # as the web server does later
os.kill(os.getpid(), int(sys.argv[1]))
deadline = time.monotonic() + float(sys.argv[2])
while not seconds_since_stop() and time.monotonic() < deadline:
    time.sleep(0.01)
print(seconds_since_stop() > 0)
"""


@pytest.mark.parametrize(
    ("number", "seconds", "said"), [("SIGTERM", 30, "True"), ("SIGINT", 30, "True"), ("SIGHUP", 0.2, "False")]
)
def test_it_notices_that_it_shall_stop(number: str, seconds: float, said: str) -> None:
    command = [sys.executable, "-c", _ASK, str(int(signal.Signals[number])), str(seconds)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)

    assert done.stdout.strip() == said
