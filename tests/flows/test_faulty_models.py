"""Models that hang, end or crash the process that calls them, beside others that are well."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.flows.service import Service
from tests.torture import models
from tests.torture.models import BY_NAME

_GIVEN_UP = ("failed", "given-up")
# No test may find what another one has taught the service about a model.
HANGS_TOO, CRASHES_TOO = (replace(BY_NAME[name], name=f"{name}-too") for name in ("hangs", "crashes"))
CRASHES_AMONG = replace(BY_NAME["crashes"], name="crashes-among")
HEALTHY, SLOW = BY_NAME["squares"], BY_NAME["roots"]
OTHERS = [replace(HEALTHY, name=f"other-{number}") for number in range(3)]
BAD, GOOD = [{"x": -1, "serial": 0}], [{"x": 7, "serial": 0}]
PATIENT = {"Prefer": "wait=20"}
# Less than the time limit of a call, and far more than a request takes on a machine that is busy otherwise.
_HELD_UP_SECONDS = 1.5


@pytest.fixture(scope="module")
def harmed(tmp_path_factory: pytest.TempPathFactory, prepared: Service) -> Iterator[Service]:
    """With one web process and two workers, and each faulty model."""
    folder = tmp_path_factory.mktemp("faulty")
    limits = {"MLSERVE_BATCH_SECONDS": "2", "MLSERVE_MAX_ATTEMPTS": "1", "MLSERVE_WORKERS": "2"}
    service = Service(folder, like=prepared, variables={"MLSERVE_TRUSTED_MODULES": "tests.torture.faulty", **limits})
    try:
        service.launch("--web-processes", "1")
        service.wait_for(lambda: service.get("/readyz").status_code == 200, "the service to be ready", seconds=240)
        faulty = [BY_NAME[name] for name in ("hangs", "exits", "crashes", "quits", "hogs")]
        repeated = [HANGS_TOO, CRASHES_TOO, CRASHES_AMONG]
        models.publish([HEALTHY, SLOW, *OTHERS, *repeated, *faulty], folder, service.manage)
        yield service
    finally:
        service.stop()


def ask(service: Service, model: str, rows: Any, headers: Any = None) -> httpx.Response | None:
    """None when the connection was cut."""
    try:
        return service.post(f"/api/models/{model}/predict", json=rows, headers=headers)
    except httpx.TransportError:
        return None


def answers(service: Service) -> bool:
    response = ask(service, HEALTHY.name, GOOD, PATIENT)
    return response is not None and response.status_code == 200


def incidents(service: Service, model: str) -> str:
    found: str = service.get(f"/api/models/{model}/versions/1.0").json()["incidents"]
    return found


def named(service: Service, name: str) -> list[int]:
    """Processes by what `ps -o comm` shows, which is cut."""
    return [pid for pid in service.children() if _name_of(pid) == name]


def _name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:  # it ended meanwhile
        return ""


def model_processes(service: Service) -> list[int]:
    return named(service, "mlserve model")


def serving(service: Service) -> list[int]:
    """All processes but those of models."""
    return sorted(set(service.children()) - set(model_processes(service)))


def end_of(service: Service, response: httpx.Response | None) -> tuple[str, str]:
    """Status and the problem's slug, once it has ended."""
    assert response is not None
    url = response.json()["url"].removeprefix(service.url)
    seen: dict[str, Any] = {}

    def has_ended() -> bool:
        seen.update(service.get(url, headers={"Prefer": "wait=10"}).json())
        return seen["status"] not in ("queued", "running")

    service.wait_for(has_ended, f"the end of {url}", seconds=90)
    return seen["status"], (seen["error"] or {"type": "/"})["type"].rpartition("/")[2]


def test_it_calls_a_model_that_hangs_by_workers_only(harmed: Service) -> None:
    before = serving(harmed)

    response = ask(harmed, "hangs", BAD, {"Prefer": "wait=1"})

    assert response is not None
    assert response.status_code == 202
    assert answers(harmed)
    assert end_of(harmed, response) == _GIVEN_UP
    harmed.wait_for(lambda: "hung" in incidents(harmed, "hangs"), "the incident")
    again = ask(harmed, "hangs", BAD, {"Prefer": "wait=5"})
    assert end_of(harmed, again) == _GIVEN_UP
    assert answers(harmed)
    assert serving(harmed) == before


def test_it_predicts_others_while_many_hang(harmed: Service) -> None:
    hanging = [ask(harmed, HANGS_TOO.name, BAD) for _ in range(2)]
    others = [ask(harmed, HEALTHY.name, GOOD) for _ in range(20)]

    assert {end_of(harmed, each)[0] for each in others} == {"succeeded"}
    assert {end_of(harmed, each) for each in hanging} == {_GIVEN_UP}


def test_it_holds_nobody_up_while_a_model_keeps_the_interpreter_to_itself(harmed: Service) -> None:
    """Its four requests once stopped all web processes for a minute, other callers' connections with them."""
    before, taken, is_over = serving(harmed), [], threading.Event()

    def go_on() -> None:
        while not is_over.wait(0.05):
            started = time.monotonic()
            assert answers(harmed)
            taken.append(time.monotonic() - started)

    with ThreadPoolExecutor(5) as threads:
        going_on = threads.submit(go_on)
        freezing = list(threads.map(lambda _: ask(harmed, "hogs", BAD, PATIENT), range(4)))
        is_over.set()
        going_on.result()

    assert {end_of(harmed, each) for each in freezing} == {_GIVEN_UP}
    assert "hung" in incidents(harmed, "hogs")
    assert len(taken) > 10
    assert max(taken) < _HELD_UP_SECONDS
    assert serving(harmed) == before


@pytest.mark.parametrize(("model", "words"), [("crashes", "crashed its process"), ("exits", "ended its process")])
def test_it_survives_a_model_that_ends_its_process(harmed: Service, model: str, words: str) -> None:
    before = serving(harmed)

    response = ask(harmed, model, BAD, PATIENT)

    assert end_of(harmed, response) == _GIVEN_UP
    harmed.wait_for(lambda: words in incidents(harmed, model), f"the incident of {model}: {incidents(harmed, model)}")
    assert answers(harmed)
    assert serving(harmed) == before


def test_it_gives_up_nothing_that_was_predicted_beside_a_model_that_crashes(harmed: Service) -> None:
    """Each has one attempt only."""
    a_batch = GOOD * 512
    beside = [ask(harmed, SLOW.name, a_batch) for _ in range(20)]
    crashing = [ask(harmed, CRASHES_TOO.name, BAD) for _ in range(4)]
    beside += [ask(harmed, SLOW.name, a_batch) for _ in range(20)]

    assert {end_of(harmed, each) for each in beside} == {("succeeded", "")}
    assert {end_of(harmed, each) for each in crashing} == {_GIVEN_UP}


def test_it_blames_exactly_the_version_that_crashed_while_others_load(harmed: Service) -> None:
    """The crash of one was once taken for that of another that happened to load."""
    healthy = (HEALTHY, SLOW, *OTHERS)
    for _ in range(3):
        for pid in model_processes(harmed):
            os.kill(pid, signal.SIGKILL)
        asked = [ask(harmed, CRASHES_AMONG.name, BAD), *(ask(harmed, each.name, GOOD) for each in healthy)]
        ends = [end_of(harmed, each) for each in asked]
        assert ends == [_GIVEN_UP, *[("succeeded", "")] * len(healthy)]

    assert "crashed" in incidents(harmed, CRASHES_AMONG.name)
    assert {incidents(harmed, each.name) for each in healthy} == {""}
    started = time.monotonic()
    answered = [ask(harmed, each.name, GOOD, PATIENT) for each in healthy]
    assert {response and response.status_code for response in answered} == {200}
    assert time.monotonic() - started < _HELD_UP_SECONDS * len(healthy)


def test_it_takes_an_exit_that_can_be_caught_for_an_error_of_the_rows(harmed: Service) -> None:
    response = ask(harmed, "quits", BAD, PATIENT)

    assert end_of(harmed, response) == ("failed", "prediction-failed")
    assert incidents(harmed, "quits") == ""


def test_it_starts_the_processes_of_models_again_whichever_is_killed(harmed: Service) -> None:
    for name in ("mlserve model", "mlserve fork se", "mlserve model h", "mlserve models"):
        found = named(harmed, name)
        assert found, name
        os.kill(found[0], signal.SIGKILL)
        response = ask(harmed, HEALTHY.name, GOOD, PATIENT)
        assert response is not None
        assert end_of(harmed, response) == ("succeeded", ""), name
        harmed.wait_for_none(found[:1])

    assert incidents(harmed, HEALTHY.name) == ""
