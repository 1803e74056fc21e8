"""Lambda's execution environments: processes of a deployed package that answer one event at a time."""

import contextlib
import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty

from tests.stand_ins.runtime_api import Invocation, InvocationResult, RuntimeApi
from tests.stand_ins.sandbox import shut_in

# Lambda gives an environment ten seconds to begin; this machine may be busy with other tests.
_INIT_SECONDS = 90
_LOG_TAIL_BYTES = 4096
_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Function:
    """What is deployed: Lambda's configuration of a function."""

    name: str
    arn: str
    handler: str
    timeout_seconds: int
    memory_mb: int
    tmp_mib: int
    code_sha256: str
    variables: Mapping[str, str] = field(hash=False)


@dataclass(frozen=True)
class Place:
    """Where it runs: the unzipped package, Lambda's libraries, a Python, what Lambda sets, a file for its log."""

    task: Path
    runtime: Path
    python: str
    variables: Mapping[str, str]
    log: Path


class Environment:
    """One process, frozen while it has nothing to do."""

    def __init__(self, function: Function, place: Place) -> None:
        self.function, self.log = function, place.log
        self._api = RuntimeApi()
        command = [place.python, "-S", "-m", "awslambdaric", function.handler]
        box = shut_in(command, task=place.task, runtime=place.runtime, tmp_mib=function.tmp_mib)
        own = {
            "LAMBDA_TASK_ROOT": box.task_root,
            "LAMBDA_RUNTIME_DIR": box.runtime_folder,
            "PYTHONPATH": box.runtime_folder,
            "AWS_LAMBDA_RUNTIME_API": self._api.address,
        }
        with place.log.open("ab") as log:
            self._process = subprocess.Popen(
                box.command,
                env={**_set_by_lambda(function), **place.variables, **function.variables, **own},
                cwd=place.task,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Of the first process of its group."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def invoke(self, payload: bytes) -> InvocationResult:
        """What the function returns; Lambda's error objects when it fails, dies or takes too long."""
        if not self._api.is_idle.is_set():
            if refused := self._started():
                return refused
        else:
            self._signal(signal.SIGCONT)
        deadline = time.time() + self.function.timeout_seconds
        self._api.events.put(Invocation(str(uuid.uuid4()), self.function.arn, payload, int(deadline * 1000)))
        result = self._result(self.function.timeout_seconds)
        if self.is_alive and self._api.is_idle.wait(5):
            self._signal(signal.SIGSTOP)
        return result

    def log_tail(self) -> bytes:
        return self.log.read_bytes()[-_LOG_TAIL_BYTES:]

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)

    def close(self) -> None:
        self.kill()
        self._api.close()

    def _started(self) -> InvocationResult | None:
        """The error, if it did not start."""
        deadline = time.monotonic() + _INIT_SECONDS
        while not self._api.is_idle.wait(_LOOK_SECONDS):
            with contextlib.suppress(Empty):
                refused = self._api.results.get_nowait()
                self.kill()
                return refused
            if not self.is_alive:
                return _error("Runtime.ExitError", f"It ended at its start: {self.log_tail().decode(errors='replace')}")
            if time.monotonic() > deadline:
                self.kill()
                return _error("Sandbox.Timedout", f"It did not start within {_INIT_SECONDS} seconds")
        return None

    def _result(self, seconds: float) -> InvocationResult:
        deadline = time.monotonic() + seconds
        while True:
            with contextlib.suppress(Empty):
                return self._api.results.get(timeout=_LOOK_SECONDS)
            if not self.is_alive:
                return _error("Runtime.ExitError", "Runtime exited without providing a reason")
            if time.monotonic() > deadline:
                self.kill()
                return _error("Sandbox.Timedout", f"Task timed out after {seconds:.2f} seconds")

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def _set_by_lambda(function: Function) -> dict[str, str]:
    return {
        "PATH": "/var/lang/bin:/usr/local/bin:/usr/bin:/bin",
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "_HANDLER": function.handler,
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3",
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": f"2026/01/01/[$LATEST]{uuid.uuid4().hex}",
    }


def _error(kind: str, message: str) -> InvocationResult:
    return InvocationResult(json.dumps({"errorType": kind, "errorMessage": message}).encode(), is_error=True)
