"""`manage.py serve` as its users know it: started, used, broken and stopped from outside."""

import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlserve.processes.children import CAN_FORK
from tests import pipelines
from tests.flows.service import MANAGE, Service, command_of, is_running

BURST = 400


def submit(service: Service, record: dict[str, Any], times: int) -> list[str]:
    """Submit at once from some threads; the addresses of the accepted predictions."""
    with httpx.Client(timeout=60) as client, ThreadPoolExecutor(8) as pool:

        def one(_: int) -> str:
            response = client.post(f"{service.url}/api/predict", json=record)
            assert response.status_code == 202, response.text
            url: str = response.json()["url"]
            return url

        return list(pool.map(one, range(times)))


def ended(service: Service, urls: list[str]) -> Counter[str]:
    """The statuses of all predictions once they have ended."""
    statuses: Counter[str] = Counter()
    deadline = time.monotonic() + 120
    with httpx.Client(timeout=60) as client:
        for url in urls:
            while (status := client.get(url, headers={"Prefer": "wait=10"}).json()["status"]) in ("queued", "running"):
                assert time.monotonic() < deadline, service.output
            statuses[status] += 1
    return statuses


def test_it_greets_with_addresses_and_a_password_that_works(service: Service) -> None:
    service.wait_for(lambda: "Ctrl-C" in service.output, "the greeting")
    with httpx.Client(base_url=service.url, follow_redirects=True) as browser:
        browser.get("/admin/login/")
        form = {
            "username": "admin",
            "password": service.password(),
            "csrfmiddlewaretoken": browser.cookies["csrftoken"],
        }
        page = browser.post("/admin/login/?next=/admin/", data=form, headers={"Referer": service.url})

    assert page.status_code == 200
    assert "Log out" in page.text
    for address in ("/", "/api/docs", "/admin/"):
        assert f"{service.url}{address}" in service.output


def test_it_predicts_the_example(service: Service, penguin: dict[str, Any]) -> None:
    response = service.post("/api/predict", json=penguin, headers={"Prefer": "wait=20"})

    assert response.status_code == 200
    assert response.json()["result"]["predictions"] == ["Gentoo"]


def test_it_is_ready_with_every_part(service: Service) -> None:
    body = service.get("/readyz").json()

    assert body["status"] == "ready"
    assert set(body["checks"]) == {
        "database", "storage", "disk", "queue", "workers", "models", "model_host", "sandbox",
    }  # fmt: skip
    assert service.get("/healthz").json() == {"status": "live"}


def test_it_shows_no_traceback_for_an_unknown_address(service: Service) -> None:
    page, problem = service.get("/nowhere"), service.get("/api/nowhere")

    assert (page.status_code, problem.status_code) == (404, 404)
    assert "Traceback" not in page.text + problem.text
    assert problem.headers["Content-Type"] == "application/problem+json"


def test_it_serves_a_second_model_while_it_runs(service: Service, tmp_path: Path) -> None:
    artifact = pipelines.save(pipelines.mixed_classifier(), tmp_path / "mixed.joblib")
    sample = tmp_path / "sample.csv"
    pipelines.mixed_frame()[0].to_csv(sample, index=False)

    service.manage(
        "upload_model", str(artifact), "--model", "mixed", "--tag", "1", "--sample", str(sample), "--promote"
    )
    response = service.post(
        "/api/models/mixed/predict",
        json={"age": 70, "city": "Bern", "postcode": "0123"},
        headers={"Prefer": "wait=20"},
    )

    assert response.status_code == 200, response.text
    assert response.json()["result"]["predictions"] == ["old"]


def test_it_fails_no_request_while_versions_change(service: Service, penguin: dict[str, Any], tmp_path: Path) -> None:
    artifact = pipelines.train_penguins(tmp_path / "again.joblib")
    artifact = pipelines.save(pipelines.relabelled(artifact), tmp_path / "second.joblib")
    example = pipelines.EXAMPLE
    schema = f"{example / 'validation.py'}:RawData"
    service.manage("upload_model", str(artifact), "--model", "penguins", "--tag", "2.0", "--schema", schema)
    seen: Counter[tuple[int, str]] = Counter()
    stop = threading.Event()

    def request() -> None:
        with httpx.Client(timeout=60) as client:
            while not stop.is_set():
                answer = client.post(f"{service.url}/api/predict", json=penguin, headers={"Prefer": "wait=20"})
                seen[answer.status_code, answer.json().get("version", answer.text)] += 1

    threads = [threading.Thread(target=request) for _ in range(3)]
    for thread in threads:
        thread.start()
    service.manage("promote_model", "penguins", "2.0")
    service.manage("rollback_model", "penguins")
    stop.set()
    for thread in threads:
        thread.join()

    assert set(seen) == {(200, "1.0"), (200, "2.0")}
    after = service.post("/api/predict", json=penguin).json()
    assert after["version"] == "1.0"


def test_it_loses_nothing_when_a_worker_is_killed_in_a_burst(own_service: Service, penguin: dict[str, Any]) -> None:
    own_service.start()
    victims = own_service.prediction_workers()
    threading.Timer(0.3, os.kill, [victims[0], signal.SIGKILL]).start()

    urls = submit(own_service, penguin, BURST)

    assert ended(own_service, urls) == {"succeeded": BURST}
    assert not is_running(victims[0])


def test_it_finishes_after_a_restart_what_was_accepted_before_a_kill(
    own_service: Service, penguin: dict[str, Any]
) -> None:
    own_service.start()
    everything = own_service.children()
    urls = submit(own_service, penguin, BURST)
    own_service.stop(signal.SIGKILL)
    own_service.wait_for_none(everything)

    own_service.start()

    assert ended(own_service, urls) == {"succeeded": BURST}


def test_it_answers_waiting_requests_before_it_stops(own_service: Service, penguin: dict[str, Any]) -> None:
    own_service.start()
    everything = own_service.children()
    answers: list[int] = []

    def request() -> None:
        answer = own_service.post("/api/predict", json=[penguin] * 10_000, headers={"Prefer": "wait=25"})
        answers.append(answer.status_code)

    threads = [threading.Thread(target=request) for _ in range(3)]
    for thread in threads:
        thread.start()
    own_service.wait_for(lambda: len(own_service.get("/api/predict").json()["results"]) == 3, "the requests")
    status = own_service.stop(signal.SIGINT)
    for thread in threads:
        thread.join()

    assert status == 0
    assert answers == [200] * 3
    assert not any(is_running(pid) for pid in everything)


def test_it_starts_again_what_dies(own_service: Service, penguin: dict[str, Any]) -> None:
    own_service.start()
    web = own_service.part("web")

    os.kill(web, signal.SIGKILL)
    own_service.wait_for(lambda: "starting it again" in own_service.output, "the restart")
    own_service.wait_for(lambda: own_service.get("/healthz").status_code == 200, "the new web server")

    assert own_service.post("/api/predict", json=penguin, headers={"Prefer": "wait=20"}).status_code == 200


def test_it_starts_the_workers_anew_when_one_of_their_helpers_is_killed(
    own_service: Service, penguin: dict[str, Any]
) -> None:
    """The process that stores results waits under a lock, as idle workers do, and holds it when it is killed."""
    own_service.start()
    before = own_service.prediction_workers()
    *_, files_results, _takes_tasks = [pid for pid in before if command_of(pid).startswith("mlserve worker")]

    os.kill(files_results, signal.SIGKILL)
    own_service.wait_for_none(before)

    assert ended(own_service, submit(own_service, penguin, 1)) == {"succeeded": 1}


@pytest.mark.skipif(not CAN_FORK, reason="the kernel of Linux does it")
def test_it_leaves_no_worker_behind_without_a_supervisor(own_service: Service) -> None:
    own_service.launch("--only", "worker")
    assert own_service.process is not None
    own_service.wait_for(lambda: len(own_service.children()) >= 5, "the workers")
    everything = own_service.children()

    for pid in (own_service.process.pid, own_service.part("worker")):
        os.kill(pid, signal.SIGKILL)

    own_service.process.wait(10)
    own_service.wait_for_none(everything, seconds=20)


@pytest.mark.skipif(not CAN_FORK, reason="the processes are forked on Linux only")
def test_it_shares_the_memory_of_what_it_imports(service: Service) -> None:
    """RSS counts a shared page in each process, PSS in equal parts."""
    assert service.process is not None
    rollups = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in [service.process.pid, *service.children()]]

    rss_kb, pss_kb = (
        sum(int(number) for rollup in rollups for number in re.findall(rf"^{kind}: +(\d+) kB", rollup, re.MULTILINE))
        for kind in ("Rss", "Pss")
    )

    assert pss_kb < rss_kb / 3


def test_it_says_when_the_port_is_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        environment = {**os.environ, "PORT": port, "MLSERVE_DATA_DIR": str(tmp_path)}
        done = subprocess.run([*MANAGE, "serve"], check=False, env=environment, capture_output=True, text=True)

    assert done.returncode == 1
    assert f"Port {port}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("wrong", [["--workers", "none"], ["--port", "99999"], ["--only", "both"]])
def test_it_refuses_wrong_usage(wrong: list[str]) -> None:
    done = subprocess.run([*MANAGE, "serve", *wrong], check=False, capture_output=True, text=True)

    assert done.returncode == 2
    assert wrong[0] in done.stderr
