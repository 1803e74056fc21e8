"""Programs that run beside the benchmark and end with it."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark import processes
from mlserve.processes.orphans import end_with_parent

_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_LAST_LINES = 20


class DidNotStart(Exception):
    """A program ended or did not answer; the message contains the end of its log."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def run_to_end(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """The command's output. Raises DidNotStart unless it exits with 0."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise DidNotStart(f"{' '.join(command)} failed ({done.returncode}):\n{_last_lines(done.stdout + done.stderr)}")
    return done.stdout


class Program:
    """One command with its output in `log`; `owner` says who runs it, as `subprocess` takes it."""

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path, **owner: Any
    ) -> None:
        self.name = name
        self._log = log
        with log.open("ab") as output:
            # In a session of its own Ctrl-C does not reach it: it is stopped in order instead.
            self._process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=end_with_parent,  # noqa: PLW1509 - no other thread runs when programs are started
                **owner,
            )

    @property
    def pids(self) -> list[int]:
        return processes.tree(self._process.pid)

    def wait_until(self, answers: Callable[[], bool], *, pause_seconds: float) -> None:
        """Ask until it answers. Raises DidNotStart."""
        deadline = time.monotonic() + _START_SECONDS
        while not answers():
            if (status := self._process.poll()) is not None:
                raise DidNotStart(f"{self.name} ended at its start (exit status {status}):\n{self.last_lines()}")
            if time.monotonic() > deadline:
                raise DidNotStart(f"{self.name} did not answer within {_START_SECONDS:g} s:\n{self.last_lines()}")
            time.sleep(pause_seconds)

    def last_lines(self) -> str:
        return _last_lines(self._log.read_text("utf-8", "replace"))

    def stop(self) -> None:
        """SIGTERM to the program, which ends its own children; SIGKILL to what is left after a while."""
        pids = self.pids
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_SECONDS)
        for pid in processes.alive(pids):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()


def _last_lines(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines()[-_LAST_LINES:]) or "    (it printed nothing)"
