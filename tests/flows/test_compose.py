"""Dockerfile.server and compose.yaml without a container engine: each command of them as written.

The image's commands run in namespaces of Linux, in which its folders are in place of this machine's, and as its user.
PostgreSQL and Redis are those of this machine, the store is the stand-in for S3.
"""

import json
import os
import platform
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from psycopg import sql

from deployment import compose_variables
from tests import pipelines
from tests.flows.service import free_port
from tests.paths import ROOT
from tests.requirements import everything_is_required
from tests.stand_ins import aws, compose, container_filter
from tests.stand_ins.database import DatabaseFront
from tests.stand_ins.image import Image
from tests.stand_ins.redis import RedisServer
from tests.stand_ins.sandbox import namespaces
from tests.waiting import wait_until

STOP_SECONDS = 90


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Built once."""
    if sys.platform != "linux" or os.geteuid() != 0 or not namespaces():
        reason = "only root may run what a Dockerfile says: run the tests as root, on Linux, with namespaces allowed"
        pytest.fail(reason, pytrace=False) if everything_is_required() else pytest.skip(reason)
    made = Image(tmp_path_factory.mktemp("image"), ROOT / "Dockerfile.server")
    made.build()
    return made


class Container:
    """One that runs; `output` is its log."""

    def __init__(self, image: Image, service: str, command: list[str], variables: Mapping[str, str]) -> None:
        self._log = image.folder / f"{service}-{uuid.uuid4().hex[:8]}.log"
        line, environment = image.command(*command, variables=variables)
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(line, env=environment, stdout=log, stderr=log)

    @property
    def output(self) -> str:
        return self._log.read_text("utf-8", errors="replace")

    def stop(self) -> int:
        """As an engine does: SIGTERM to its first process. The exit status."""
        if self.process.poll() is None:
            listed = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True, check=True)
            os.kill(int(listed.stdout), signal.SIGTERM)
        return self.process.wait(STOP_SECONDS)


class Stack:
    """What compose.yaml describes."""

    def __init__(self, image: Image, variables_file: Path, addresses: Mapping[str, str]) -> None:
        self.image = image
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._file, self._addresses = variables_file, addresses
        self.services = compose.read(ROOT / "compose.yaml", compose.values_of(variables_file))["services"]

    def variables(self, service: str) -> dict[str, str]:
        """Its environment, but with the addresses of this machine in place of Compose's host names."""
        found = compose.environment_of(self.services[service], self._file)
        for there, here in self._addresses.items():
            found = {name: value.replace(there, here) for name, value in found.items()}
        return {**found, "HOST": "127.0.0.1", "PORT": str(self.port)}

    def start(self, service: str) -> Container:
        return Container(self.image, service, self.services[service]["command"], self.variables(service))

    def run(self, service: str, *command: str) -> str:
        """As `docker compose run`: to its end; what it prints."""
        ran = Container(
            self.image, service, list(command) or self.services[service]["command"], self.variables(service)
        )
        assert ran.process.wait(120) == 0, ran.output
        return ran.output

    def is_healthy(self) -> bool:
        check = json.loads(self.image.only("HEALTHCHECK").value.partition("CMD ")[2])
        try:
            self.image.run(*check, variables=self.variables("web"))
        except AssertionError:
            return False
        return True


@pytest.fixture(scope="module")
def stack(image: Image, postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Nothing of ours runs yet."""
    folder = tmp_path_factory.mktemp("stack")
    variables_file = folder / "compose.env"
    compose_variables.write(variables_file)
    database = f"compose_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
    front = DatabaseFront(postgres_url)
    redis = RedisServer(folder, password=compose.values_of(variables_file)["QUEUE_PASSWORD"]).start()
    with aws.running() as store:
        yield Stack(
            image,
            variables_file,
            {
                "database:5432/mlserve": front.url(database).rpartition("@")[2],
                "queue:6379/0": redis.url.rpartition("@")[2],
                "http://store:7070": store.endpoint_url,
            },
        )
    redis.stop()
    front.close()


def test_it_builds_what_the_service_needs_and_nothing_else(image: Image) -> None:
    inside = {path.name for path in image.path(".").iterdir()}

    assert inside == {
        "requirements.txt", "manage.py", "mlserve", "registry", "predictions", "templates", "static", "collected",
    }  # fmt: skip
    [style] = image.path("collected/mlserve").glob("style.*.css")
    assert re.fullmatch(r"style\.\w{12}\.css", style.name)
    assert list(image.path("mlserve/__pycache__").glob("settings.*.pyc"))


def test_it_runs_as_a_user_who_may_write_data_only(image: Image) -> None:
    may_write = "touch /var/lib/mlserve/x /var/cache/mlserve/x /tmp/x"
    may_not = "touch /srv/mlserve/x /srv/mlserve/mlserve/x /etc/x /usr/x"

    assert image.run("id", "--user", "--name").strip() == "mlserve"
    image.run("sh", "-c", may_write)
    for command in may_not.split()[1:]:
        image.run("sh", "-c", f"! touch {command} 2>/dev/null")


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the filter is for x86-64")
def test_it_has_the_sandbox_that_it_has_without_a_containers_filter(image: Image) -> None:
    """Docker's profile allows Landlock and filters, and refuses the user namespace that is used where it can be."""
    measure = ("python", "-S", "-m", "registry.sandbox.measurement")
    program = Path(container_filter.__file__).read_text("utf-8")

    there = image.run("python", "-c", program, *measure, variables={"PYTHONPATH": "/srv/mlserve"})

    refused = image.run("python", "-c", program, "sh", "-c", "unshare --user true 2>&1 || true")
    assert "Operation not permitted" in refused
    assert json.loads(there) == json.loads(image.run(*measure, variables={"PYTHONPATH": "/srv/mlserve"}))
    assert {"limits", "system calls"} <= set(json.loads(there))


def test_it_serves_with_the_services_that_compose_starts(stack: Stack, penguin: dict[str, Any]) -> None:
    stack.run("migrate")
    assert "Bucket mlserve" in stack.run("bucket")
    assert "The password is" in stack.run("web", "make_admin", "ada")
    artifact = pipelines.train_penguins(stack.image.path("../model.joblib").resolve())
    assert not stack.is_healthy()
    web, worker = stack.start("web"), stack.start("worker")
    try:
        wait_until(stack.is_healthy, lambda: f"the web server:\n{web.output}", seconds=60)
        stack.run("web", "upload_model", f"/srv/{artifact.name}", "--model", "penguins", "--tag", "1.0", "--promote")
        wait_until(lambda: _is_ready(stack), lambda: f"{_ready(stack)}\n{web.output}\n{worker.output}", seconds=60)

        _require_answers(stack, penguin)
        page = httpx.get(stack.url, timeout=30)
        assert page.status_code == 200
        [style] = re.findall(r'href="(/static/mlserve/style[^"]*\.css)"', page.text)
        assert httpx.get(stack.url + style, timeout=30).status_code == 200
    finally:
        statuses = worker.stop(), web.stop()
    assert statuses == (0, 0), worker.output + web.output
    assert "Traceback" not in worker.output + web.output


def _ready(stack: Stack) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{stack.url}/readyz", timeout=30).json()
    return found


def _is_ready(stack: Stack) -> bool:
    return bool(_ready(stack)["status"] == "ready")


def _require_answers(stack: Stack, penguin: dict[str, Any]) -> None:
    """Of the web server's own model process, and of the worker's, which is another one."""
    address = f"{stack.url}/api/models/penguins/predict"
    at_once = httpx.post(address, json=penguin, headers={"Prefer": "wait=20"}, timeout=30)
    assert at_once.json()["result"]["predictions"] == ["Gentoo"], at_once.text
    queued = httpx.post(address, json=penguin, timeout=30)
    assert queued.status_code == 202, queued.text
    ended = httpx.get(queued.json()["url"], headers={"Prefer": "wait=20"}, timeout=30).json()
    assert ended["result"]["predictions"] == ["Gentoo"], ended


def test_it_takes_a_proxys_domain(image: Image, tmp_path: Path) -> None:
    """The settings of a server: checked, with static files under their hashed names."""
    variables_file = tmp_path / "compose.env"
    compose_variables.write(variables_file, domain="models.example.com")

    variables = {**Stack(image, variables_file, {}).variables("web"), "DATABASE_URL": "", "MLSERVE_BUCKET": ""}

    found = json.loads(image.run("python", "-c", _SAY_SETTINGS, variables=variables))

    assert "make_admin NAME" in found.pop()  # it prepared itself without collecting files, which it may not write
    assert found == [
        ["models.example.com", "localhost"], ["https://models.example.com"], 1, "/srv/mlserve/collected", True,
    ]  # fmt: skip


_SAY_SETTINGS = """
import json, os
os.environ["DJANGO_SETTINGS_MODULE"] = "mlserve.settings"
import django
django.setup()
from django.conf import settings as s
from django.templatetags.static import static
from mlserve.server.laptop import prepare
print(json.dumps([s.ALLOWED_HOSTS, s.CSRF_TRUSTED_ORIGINS, s.MLSERVE_TRUSTED_PROXIES, str(s.STATIC_ROOT),
                  static("mlserve/style.css") != "/static/mlserve/style.css", str(prepare())]))
"""
