"""Lambda: deployed packages, unzipped once, run by as many environments as there are events at a time."""

import io
import json
import shutil
import threading
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from tests.stand_ins.environments import Environment, Function, Place
from tests.stand_ins.keeper import Keeper
from tests.stand_ins.runtime_api import InvocationResult

# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MOST_UNZIPPED_BYTES = 262_144_000
MOST_PAYLOAD_BYTES = 6 * 2**20


@dataclass(frozen=True)
class Interpreter:
    """A Python, the folder with what Lambda adds to it, and the variables that Lambda sets for each function."""

    python: str
    runtime: Path
    variables: Mapping[str, str]


class Functions:
    """Runs functions in processes below `folder`. Close it, or they stay."""

    def __init__(self, folder: Path, interpreter: Interpreter) -> None:
        self._folder, self._interpreter = folder, interpreter
        self._lock, self._unzipping = threading.Lock(), threading.Lock()
        self._idle: list[Environment] = []
        self._busy: list[Environment] = []
        self._numbers = count(1)
        self._keeper = Keeper()
        (folder / "logs").mkdir(parents=True, exist_ok=True)

    def invoke(self, function: Function, payload: bytes, zipped: Callable[[], bytes]) -> tuple[InvocationResult, bytes]:
        """What the function returns, and the end of its log. `zipped` gives the package, when it is not there yet."""
        environment = self._taken(function) or self._new(function, zipped)
        try:
            result = environment.invoke(payload)
        finally:
            self._give_back(environment)
        if len(result.body) > MOST_PAYLOAD_BYTES:
            error = {"errorType": "Function.ResponseSizeTooLarge", "errorMessage": "Response payload size exceeded"}
            result = InvocationResult(json.dumps(error).encode(), is_error=True)
        return result, environment.log_tail()

    def kill_busy(self, name: str) -> int:
        """End, as by SIGKILL, the processes that work for this function now; how many there were."""
        with self._lock:
            found = [each for each in self._busy if each.function.name == name]
        for each in found:
            each.kill()
        return len(found)

    def retire_idle(self, name: str) -> None:
        """The next event starts a new process."""
        with self._lock:
            found = [each for each in self._idle if each.function.name == name]
            self._idle = [each for each in self._idle if each not in found]
        for each in found:
            each.close()

    def log(self, name: str) -> str:
        logs = sorted((self._folder / "logs").glob(f"{name}-*.log"), key=lambda path: path.stat().st_mtime)
        return "\n".join(path.read_text("utf-8", errors="replace") for path in logs)

    def close(self) -> None:
        with self._lock:
            found, self._idle, self._busy = [*self._idle, *self._busy], [], []
        for each in found:
            each.close()
        self._keeper.release()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _taken(self, function: Function) -> Environment | None:
        """An idle one of this very deployment; those of earlier ones end."""
        with self._lock:
            stale = [each for each in self._idle if each.function.name == function.name and not _same(each, function)]
            fitting = [each for each in self._idle if _same(each, function)]
            self._idle = [each for each in self._idle if each not in stale and each not in fitting[:1]]
            self._busy += fitting[:1]
        for each in stale:
            each.close()
        return fitting[0] if fitting else None

    def _new(self, function: Function, zipped: Callable[[], bytes]) -> Environment:
        log = self._folder / "logs" / f"{function.name}-{next(self._numbers):04}.log"
        task = self._unzipped(function, zipped)
        given = self._interpreter
        environment = Environment(function, Place(task, given.runtime, given.python, given.variables, log))
        self._keeper.watch(environment.pid)
        with self._lock:
            self._busy.append(environment)
        return environment

    def _give_back(self, environment: Environment) -> None:
        with self._lock:
            was_busy = environment in self._busy
            self._busy = [each for each in self._busy if each is not environment]
            if was_busy and environment.is_alive:
                self._idle.append(environment)
                return
        environment.close()

    def _unzipped(self, function: Function, zipped: Callable[[], bytes]) -> Path:
        task = self._folder / "".join(letter for letter in function.code_sha256 if letter.isalnum())
        with self._unzipping:
            if not task.exists():
                package = zipfile.ZipFile(io.BytesIO(zipped()))
                size = sum(entry.file_size for entry in package.infolist())
                if size > MOST_UNZIPPED_BYTES:
                    raise ValueError(f"Unzipped size must be smaller than {MOST_UNZIPPED_BYTES} bytes; it is {size}")
                package.extractall(task.with_suffix(".new"))
                task.with_suffix(".new").rename(task)
        return task


def _same(environment: Environment, function: Function) -> bool:
    return environment.is_alive and environment.function == function
