"""A real model host, and versions as their callers know them."""

import os
import signal
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
from sklearn.pipeline import Pipeline

from predictions.model_host.client import HostClient, Loaded
from predictions.model_host.contents import Answers, Specification, packed_call, read_answers, read_raised
from predictions.model_host.protocol import Kind
from predictions.model_host.start import Options, OwnHost
from registry.schema.columns import Values
from registry.schema.record import RecordSchema
from tests.paths import ROOT
from tests.predictions.model_host.misbehaving import Misbehaving
from tests.waiting import wait_until

LONG_SECONDS = 30.0
_SCHEMA = RecordSchema.from_json_schema(
    {
        "type": "object",
        "properties": {"act": {"type": "string"}, "x": {"type": "number"}},
        "required": ["act", "x"],
        "additionalProperties": False,
    }
)
_numbers = count()


def save(path: Path, estimator: Misbehaving) -> Path:
    frame = pd.DataFrame({"act": ["", ""], "x": [0.0, 1.0]})
    joblib.dump(Pipeline([("model", estimator)]).fit(frame, [0.0, 2.0]), path)
    return path


def specification(**changed: Any) -> Specification:
    """Of what `save` writes."""
    facts: dict[str, Any] = {
        "artifact_format": "pickle",
        "schema": _SCHEMA.json_schema,
        "columns": _SCHEMA.stored_columns(),
        "container": _SCHEMA.container,
        "trusted": ["tests.predictions.model_host.misbehaving"],
        "most_bytes": 8 * 2**30,
    }
    return Specification(**{**facts, **changed})


def packed_acts(*acts: str) -> bytes:
    """The body of a call with a row for each act."""
    columns: list[Values] = [list(acts), [float(number) for number in range(len(acts))]]
    return packed_call(columns, len(acts), ["predict"])


@dataclass
class Version:
    """A version as its callers know it; several may use it at a time."""

    client: HostClient
    key: str
    artifact: Path

    def load(self, *, seconds: float = LONG_SECONDS, **changed: Any) -> Loaded:
        descriptor = os.open(self.artifact, os.O_RDONLY)
        try:
            return self.client.load(self.key, descriptor, specification(**changed), seconds=seconds)
        finally:
            os.close(descriptor)

    def ask(self, *acts: str, seconds: float = LONG_SECONDS, patience: float = LONG_SECONDS) -> Answers | None:
        """Answers of a call with a row for each act; None when it is not loaded."""
        answer = self.client.call(self.key, packed_acts(*acts), seconds=seconds, patience_seconds=patience)
        if answer is None:
            return None
        if answer.kind is Kind.RAISED:
            raise read_raised(answer.body)
        return read_answers(answer.body, names=["predictions"], row_count=len(acts))

    def end(self) -> None:
        """Its process, as by the system."""
        for each in self.processes():
            os.kill(each["pid"], signal.SIGKILL)

    def processes(self) -> list[dict[str, Any]]:
        return [each for each in self.client.state()["processes"] if each["key"] == self.key]


class RunningHost:
    """`limit_bytes` is what all processes may have together."""

    def __init__(self, folder: Path, *, limit_bytes: int = 2**32) -> None:
        self._folder = folder
        self._own = OwnHost(Options(ROOT, limit_bytes))
        self.address = self._own.address
        self.client = HostClient(self._own.address)
        self.artifact = save(folder / "model.joblib", Misbehaving())

    def new(self, *, artifact: Path | None = None) -> Version:
        """A version that no other test knows, not loaded yet."""
        return Version(self.client, f"version {next(_numbers)}", artifact or self.artifact)

    def loaded(self) -> Version:
        version = self.new()
        version.load()
        return version

    def bad_when_loaded(self, act: str) -> Version:
        """What acts so as soon as it is unpickled; its file is written without being unpickled here."""
        return self.new(artifact=save(self._folder / f"{next(_numbers)}.joblib", Misbehaving(act)))

    @property
    def pid(self) -> int:
        pid: int = self.client.state()["pid"]
        return pid

    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def fork_server(self) -> int:
        return children_of(self.pid)[0]

    def model_processes(self) -> list[int]:
        return children_of(self.fork_server())

    def wait_for_processes(self, number: int) -> None:
        wait_until(lambda: len(self.model_processes()) == number, lambda: f"{number}, not {self.model_processes()}")

    @property
    def is_running(self) -> bool:
        return self._own.is_running

    def stop(self) -> None:
        self.client.close()
        self._own.stop()


def children_of(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
