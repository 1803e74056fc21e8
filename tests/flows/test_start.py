"""The start of `manage.py serve` where it does not go by itself: addresses, ports, terminals, databases."""

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from tests.flows.service import MANAGE, Service
from tests.stand_ins.front import Front


@pytest.fixture
def started(tmp_path: Path, prepared: Service) -> Iterator[Any]:
    """`started(HOST="::1")`: a prepared service, launched with these variables; it is stopped at the end."""
    services: list[Service] = []

    def start(*arguments: str, **variables: str) -> Service:
        services.append(Service(tmp_path, like=prepared, variables=variables))
        services[0].launch(*arguments)
        return services[0]

    yield start
    for service in services:
        if service.process and service.process.poll() is None:
            service.stop()


def require_address(host: str) -> None:
    try:
        socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        pytest.skip(f"{host} is no address of this machine: {error}")


@pytest.mark.parametrize(
    "host", ["localhost", "0.0.0.0", "::1", "::", pytest.param(socket.gethostname(), id="host-name")]
)
def test_it_greets_with_an_address_that_answers(started: Any, host: str) -> None:
    require_address(host)
    service = started(HOST=host)
    service.wait_for(lambda: "is ready at" in service.output, "the greeting")

    [address] = re.findall(r"is ready at +(\S+)", service.output)
    assert httpx.get(address, timeout=30).status_code == 200


def test_it_greets_on_a_server_and_answers_probes_by_address(started: Any) -> None:
    service = started(DEBUG="0", ALLOWED_HOSTS="models.example.com", MLSERVE_BASE_PATH="/web")

    service.wait_for(lambda: "is ready at" in service.output, "the greeting")
    service.wait_for(lambda: service.get("/readyz").status_code == 200, "the service to be ready")

    assert f"http://127.0.0.1:{service.port}/web/admin/" in service.output
    assert [service.get(path).status_code for path in ("/healthz", "/web/healthz", "/web/readyz")] == [200] * 3
    assert [service.get(path).status_code for path in ("/metrics", "/web/metrics")] == [401, 401]
    assert service.get("/web/healthz", headers={"Host": "10.0.0.7"}).json() == {"status": "live"}


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("PORT", "", "a whole number, at least 1, at most 65535"),
        ("PORT", "http", "a whole number, at least 1, at most 65535"),
        ("HOST", "", "an address or host name of this machine"),
        ("HOST", "http://localhost", "an address or host name of this machine"),
        ("HOST", "nowhere.invalid", "an address or host name of this machine"),
    ],
)
def test_it_says_where_it_cannot_listen(name: str, value: str, allowed: str) -> None:
    done = subprocess.run(
        [*MANAGE, "serve"], env={**os.environ, name: value}, check=False, capture_output=True, text=True
    )

    assert done.returncode == 1
    assert f"{name} is {value!r}" in done.stderr
    assert allowed in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("part", [[], ["--only", "web"]])
def test_it_shares_no_port(started: Any, part: list[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        service = started(*part, PORT=str(port))
        assert service.process.wait(60) == 1

    assert f"error: Port {port} of 127.0.0.1 cannot be used" in service.output
    assert "Traceback" not in service.output


def test_it_outlives_its_terminal_under_nohup(tmp_path: Path, prepared: Service) -> None:
    service = Service(tmp_path, like=prepared)
    service.prefix = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh"]
    service.launch()
    assert service.process is not None
    service.wait_for(lambda: service.get("/healthz").status_code == 200, "the service")

    for pid in [service.process.pid, *service.children()]:
        os.kill(pid, signal.SIGHUP)
    service.wait_for(lambda: service.get("/readyz").status_code == 200, "the service to be ready")

    assert service.process.poll() is None
    assert service.stop() == 0


def test_it_says_what_an_unmigrated_database_needs(tmp_path: Path, penguin: dict[str, Any]) -> None:
    service = Service(tmp_path)
    service.launch()
    try:
        service.wait_for(lambda: service.get("/healthz").status_code == 200, "the web server")
        ready, asked, page = service.get("/readyz"), service.post("/api/predict", json=penguin), service.get("/")
        said = [line for line in service.output.splitlines() if "not migrated" in line]
        service.manage("migrate")
        service.wait_for(lambda: service.get("/readyz").status_code == 200, "the service to be ready")
    finally:
        service.stop()

    assert (ready.status_code, asked.status_code, page.status_code) == (503, 503, 503)
    assert "manage.py migrate" in ready.json()["checks"]["database"]["detail"]
    assert asked.json()["detail"] == (
        "The database is not migrated to this release. Nothing was accepted; "
        "tell the operator of this service: run .venv/bin/python manage.py migrate."
    )
    assert "Traceback" not in service.output
    assert len(said) == 1, service.output
    assert said[0].endswith("manage.py migrate")


def test_it_waits_for_a_database_that_starts_later(tmp_path: Path, postgres_url: str) -> None:
    folder = psycopg.conninfo.conninfo_to_dict(postgres_url)["host"]
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute("DROP DATABASE IF EXISTS later")
        admin.execute("CREATE DATABASE later")
    front = Front(f"{folder}/.s.PGSQL.5432")
    front.set("refuse")
    service = Service(tmp_path, variables={"DATABASE_URL": f"postgres://mlserve@127.0.0.1:{front.port}/later"})
    service.launch("--prepare")
    try:
        service.wait_for(lambda: "waiting up to 60 s for it" in service.output, "the line")
        front.set("pass")
        service.wait_for(lambda: service.get("/readyz").status_code == 200, "the service to be ready", seconds=120)
    finally:
        service.stop()
        front.close()

    assert service.output.count("waiting up to 60 s for it") == 1
