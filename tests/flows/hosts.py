"""Hosts that share a database, a bucket and Redis, and nothing else: each has files, a /tmp and a name of its own."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx
import psycopg
from psycopg import sql

from tests.flows.service import MANAGE, ROOT, Service
from tests.flows.sleeping import save_sleeper

_PREPARE = "import django; django.setup(); from mlserve.server.laptop import prepare; prepare()"
# Only root may give a process a host name of its own; without it hosts differ in all else.
_CAN_NAME = sys.platform == "linux" and os.geteuid() == 0


class Host(Service):
    """One of several machines."""

    def __init__(self, folder: Path, name: str, shared: Mapping[str, str]) -> None:
        super().__init__(folder, variables={**shared, "TMPDIR": str(folder / "tmp"), "MLSERVE_WORKERS": "1"})
        (folder / "tmp").mkdir()
        self.name = name
        if _CAN_NAME:
            self.prefix = ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', name]

    def kill_everything(self) -> None:
        """As when the power is cut."""
        assert self.process is not None
        for pid in [self.process.pid, *self.children()]:
            with suppress(ProcessLookupError):  # one that ends with its parent
                os.kill(pid, signal.SIGKILL)
        self.process.wait(30)


class Shared:
    """What hosts share: `variables` tell each where it is. The example and `sleeper` are registered."""

    def __init__(self, folder: Path, variables: Mapping[str, str], postgres_url: str) -> None:
        name = f"hosts_{uuid.uuid4().hex}"
        with psycopg.connect(postgres_url, autocommit=True) as admin:
            admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        self.database_url = f"{postgres_url.rpartition('/')[0]}/{name}"
        sleeper = save_sleeper(folder)
        self.variables = {**variables, "DATABASE_URL": self.database_url, **sleeper.variables}
        self._folder = folder
        environment = {**os.environ, **Service(folder, variables=self.variables).environment}
        subprocess.run([sys.executable, "-c", _PREPARE], env=environment, cwd=ROOT, check=True)
        command = [*MANAGE, "upload_model", str(sleeper.artifact), *sleeper.upload_options]
        subprocess.run(command, env=environment, check=True)

    def host(self, name: str) -> Host:
        folder = self._folder / f"{name}-{uuid.uuid4().hex[:8]}"
        folder.mkdir()
        return Host(folder, name, self.variables)

    def ask(self, statement: str, *parameters: Any) -> list[Any]:
        """The first column of what the database answers."""
        with closing(psycopg.connect(self.database_url, autocommit=True)) as connection:
            return [row[0] for row in connection.execute(statement, parameters)]

    def let_leases_run_out(self, worker: str) -> None:
        """Of a worker that is gone; instead of waiting for that."""
        held = "status = 'running' AND lease_holder = %s"
        assert self.ask(f"UPDATE predictions_prediction SET lease_expires_at = now() WHERE {held} RETURNING 1", worker)


def submit(host: Service, model: str, record: Mapping[str, Any]) -> str:
    """The id of an accepted prediction."""
    accepted = host.post(f"/api/models/{model}/predict", json=record)
    assert accepted.status_code == 202, accepted.text
    prediction_id: str = accepted.json()["prediction_id"]
    return prediction_id


def ended(host: Service, prediction_ids: list[str], *, seconds: float) -> Iterator[dict[str, Any]]:
    """The predictions as the host tells them, each once it has ended."""
    deadline = time.monotonic() + seconds
    with httpx.Client(base_url=host.url, timeout=30) as client:
        for prediction_id in prediction_ids:
            while (told := client.get(f"/api/predict/{prediction_id}").json())["status"] in ("queued", "running"):
                assert time.monotonic() < deadline, f"{told}\n{host.output}"
                time.sleep(0.02)
            yield told
