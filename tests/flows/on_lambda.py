"""mlserve deployed to the stand-in for AWS by its own commands, and reached as clients reach it."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
from psycopg import sql

from tests.flows.service import MANAGE, ROOT
from tests.stand_ins.database import DatabaseFront
from tests.stand_ins.region import Region
from tests.waiting import wait_until

BUCKET, QUEUE = "artifacts-of-mlserve", "mlserve"
WEB, WORKER = "mlserve-web", "mlserve-worker"
_DATABASE = "on_lambda"
_COMMAND_SECONDS = 300


class OnLambda:
    """`deploy()` it first. Its database lies in the cluster of `cluster_url`."""

    def __init__(self, region: Region, cluster_url: str, *, deploy_python: Path) -> None:
        self.region, self._cluster_url, self._python = region, cluster_url, deploy_python
        self.database = DatabaseFront(cluster_url)
        self.database_url = self.database.url(_DATABASE)
        self.url, self.token = region.front(WEB, "web"), ""
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "SECRET_KEY": "a-key-that-only-the-functions-of-these-tests-share-0123456789",
            "DATABASE_URL": self.database_url,
            "MLSERVE_BUCKET": BUCKET,
            "MLSERVE_QUEUE": "sqs",
            "MLSERVE_NEW_MODELS": "public",
            # Short, so that what hangs or dies is over within the test.
            "MLSERVE_BATCH_SECONDS": "5",
            "MLSERVE_MAX_ATTEMPTS": "2",
            **region.variables,
        }
        with psycopg.connect(cluster_url, autocommit=True) as cluster:
            cluster.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_DATABASE)))

    def deploy(self, package: Path) -> str:
        """`make deploy` with a package that is built; what it printed."""
        return self.deployment("deploy", "--package", str(package), "--url", self.url)

    def deployment(self, *arguments: str) -> str:
        """Another command of the deployment, such as `undeploy --yes`."""
        command = [str(self._python), "-m", "deployment", *arguments]
        done = subprocess.run(
            command,
            env=self.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    def make_admin(self, name: str) -> None:
        """`make admin`; `token` is what authenticates as them from then on."""
        told = self.deployment("admin", name)
        found = re.search(r"The password is (\S+)", told)
        assert found, told
        self.token = f"{name}:{found[1]}"

    def manage(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """A command of manage.py on this machine, which has the same database, bucket and queue."""
        return self._run([sys.executable, *MANAGE[1:], *arguments], {**self.environment, **more})

    def _run(self, command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )

    @property
    def home(self) -> httpx.URL:
        """The address that the deploy gave, for use with `browser()`."""
        apis = self.region.client("apigateway").get_rest_apis()["items"]
        api = next(each["id"] for each in apis if each["name"] == WEB)
        return httpx.URL(f"https://{api}.execute-api.{self.region.name}.amazonaws.com/web/")

    def browser(self) -> httpx.Client:
        """With cookies; it follows redirects, and says where it comes from."""
        return httpx.Client(
            transport=ThroughGateway(self.region.endpoint_url),
            headers={"Referer": str(self.home)},
            follow_redirects=True,
            timeout=60,
        )

    def predict(self, model: str, rows: Any, **headers: str) -> httpx.Response:
        return httpx.post(f"{self.url}/api/models/{model}/predict", json=rows, headers=headers, timeout=60)

    def ended(self, prediction_id: str, *, seconds: float = 60) -> dict[str, Any]:
        """The prediction once it ended, polled as clients poll."""
        found: dict[str, Any] = {}

        def is_over() -> bool:
            found.update(httpx.get(f"{self.url}/api/predict/{prediction_id}", timeout=60).json())
            return found["status"] not in ("queued", "running")

        self.wait_for(is_over, f"the end of {prediction_id}", seconds=seconds)
        return found

    def wait_for(self, condition: Callable[[], bool], what: str, *, seconds: float = 60) -> None:
        wait_until(condition, lambda: f"{what}:\n{self.logs()}", seconds=seconds, look_every_seconds=0.1)

    def query(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Straight from the server, also while the functions cannot reach it."""
        url = f"{self._cluster_url.rpartition('/')[0]}/{_DATABASE}"
        with psycopg.connect(url, autocommit=True) as connection:
            return connection.execute(statement.encode(), parameters).fetchall()

    def waiting_messages(self, queue: str = QUEUE) -> int:
        """Those that are visible, and those that are being worked on."""
        sqs = self.region.client("sqs")
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = sqs.get_queue_attributes(QueueUrl=self.queue_url(queue), AttributeNames=names)["Attributes"]
        return sum(int(value) for value in found.values())

    def queue_url(self, queue: str = QUEUE) -> str:
        return str(self.region.client("sqs").get_queue_url(QueueName=queue)["QueueUrl"])

    def state(self, prediction_id: str) -> tuple[str, int]:
        """(status, attempts) in the database."""
        found = self.query("SELECT status, attempts FROM predictions_prediction WHERE id = %s", prediction_id)
        return found[0][0], found[0][1]

    def let_leases_run_out(self) -> None:
        """Instead of waiting for that."""
        self.query("UPDATE predictions_prediction SET lease_expires_at = now() WHERE status = 'running' RETURNING 1")

    @contextmanager
    def deliveries_paused(self) -> Iterator[None]:
        """The worker gets no messages meanwhile."""
        client = self.region.client("lambda")
        mapping = client.list_event_source_mappings(FunctionName=WORKER)["EventSourceMappings"][0]["UUID"]
        client.update_event_source_mapping(UUID=mapping, Enabled=False)
        yield
        client.update_event_source_mapping(UUID=mapping, Enabled=True)

    def logs(self) -> str:
        return "\n".join(self.region.functions.log(name)[-4000:] for name in (WEB, WORKER))

    def invoke(self, function: str, event: dict[str, Any]) -> Any:
        answer = self.region.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event).encode())
        value = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, value
        return value

    def close(self) -> None:
        self.region.close()
        self.database.close()
        with psycopg.connect(self._cluster_url, autocommit=True) as cluster:
            cluster.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(_DATABASE)))


class ThroughGateway(httpx.BaseTransport):
    """https://API.execute-api.REGION.amazonaws.com, answered by the stand-in: for links, cookies and redirects."""

    def __init__(self, endpoint_url: str) -> None:
        self._endpoint_url, self._http = endpoint_url, httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        api = request.url.host.partition(".")[0]
        url = f"{self._endpoint_url}/_apigw/{api}{request.url.raw_path.decode()}"
        return self._http.handle_request(
            httpx.Request(request.method, url, headers=request.headers, stream=request.stream)
        )

    def close(self) -> None:
        self._http.close()
