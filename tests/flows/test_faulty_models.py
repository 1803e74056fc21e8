"""Models that hang, end or crash the process that calls them, beside one that is well."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from sklearn.preprocessing import FunctionTransformer

from tests.flows import freezing
from tests.flows.service import Service
from tests.torture import models
from tests.torture.models import BY_NAME, Model

_GIVEN_UP = ("failed", "given-up")
_STEP = ("freezes", FunctionTransformer(freezing.freezes))
FREEZES = Model("freezes", models._numbers(lambda x: x + 0.5, _STEP), (_GIVEN_UP,), is_faulty=True)
# No test may find what another one has taught the service about a model.
HANGS_TOO, CRASHES_TOO = (replace(BY_NAME[name], name=f"{name}-too") for name in ("hangs", "crashes"))
HEALTHY, SLOW = BY_NAME["squares"], BY_NAME["roots"]
BAD, GOOD = [{"x": -1, "serial": 0}], [{"x": 7, "serial": 0}]
PATIENT = {"Prefer": "wait=20"}


@pytest.fixture(scope="module")
def harmed(tmp_path_factory: pytest.TempPathFactory, prepared: Service) -> Iterator[Service]:
    """With one web process and two workers, and each faulty model."""
    folder = tmp_path_factory.mktemp("faulty")
    trusted = "tests.torture.faulty,tests.flows.freezing"
    limits = {"MLSERVE_BATCH_SECONDS": "2", "MLSERVE_MAX_ATTEMPTS": "1", "MLSERVE_WORKERS": "2"}
    service = Service(folder, like=prepared, variables={"MLSERVE_TRUSTED_MODULES": trusted, **limits})
    service.launch("--web-processes", "1")
    service.wait_for(lambda: service.get("/readyz").status_code == 200, "the service to be ready", seconds=240)
    faulty = [BY_NAME[name] for name in ("hangs", "exits", "crashes", "quits")]
    models.publish([HEALTHY, SLOW, FREEZES, HANGS_TOO, CRASHES_TOO, *faulty], folder, service.manage)
    yield service
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


def web_process(service: Service) -> int:
    return service.children(service.part("web"))[-1]


def test_it_keeps_a_model_that_hangs_out_of_web_processes(harmed: Service) -> None:
    before = web_process(harmed)

    response = ask(harmed, "hangs", BAD, {"Prefer": "wait=1"})

    assert response is not None
    assert response.status_code == 202
    harmed.wait_for(lambda: answers(harmed), "an answer of the other model", seconds=20)
    assert end_of(harmed, response) == _GIVEN_UP
    harmed.wait_for(lambda: "hung" in incidents(harmed, "hangs"), "the incident")
    harmed.wait_for(lambda: web_process(harmed) != before and answers(harmed), "another web process")
    after, again = web_process(harmed), ask(harmed, "hangs", BAD, {"Prefer": "wait=5"})
    assert end_of(harmed, again) == _GIVEN_UP  # by a worker
    assert answers(harmed)
    assert web_process(harmed) == after


def test_it_predicts_others_while_many_hang(harmed: Service) -> None:
    hanging = [ask(harmed, HANGS_TOO.name, BAD) for _ in range(2)]
    others = [ask(harmed, HEALTHY.name, GOOD) for _ in range(20)]

    assert {end_of(harmed, each)[0] for each in others} == {"succeeded"}
    assert {end_of(harmed, each) for each in hanging} == {_GIVEN_UP}


def test_it_survives_a_model_that_keeps_the_interpreter_to_itself(harmed: Service) -> None:
    assert ask(harmed, "freezes", BAD, PATIENT) is None  # the process was ended

    harmed.wait_for(lambda: answers(harmed), "another web process")
    assert "hung" in incidents(harmed, "freezes")
    assert end_of(harmed, ask(harmed, "freezes", BAD, {"Prefer": "wait=1"})) == _GIVEN_UP
    assert answers(harmed)


@pytest.mark.parametrize(("model", "words"), [("crashes", "crashed its process"), ("exits", "ended its process")])
def test_it_survives_a_model_that_takes_its_process_along(harmed: Service, model: str, words: str) -> None:
    assert ask(harmed, model, BAD, PATIENT) is None

    harmed.wait_for(lambda: answers(harmed), "another web process")
    response = ask(harmed, model, BAD, {"Prefer": "wait=1"})  # by the workers from now on
    assert end_of(harmed, response) == _GIVEN_UP
    harmed.wait_for(lambda: words in incidents(harmed, model), f"the incident of {model}: {incidents(harmed, model)}")
    assert answers(harmed)


def test_it_gives_up_nothing_that_was_predicted_beside_a_model_that_crashes(harmed: Service) -> None:
    """Each has one attempt only, and each crash ends the other worker amid a batch."""
    a_batch = GOOD * 512
    beside = [ask(harmed, SLOW.name, a_batch) for _ in range(20)]
    crashing = [ask(harmed, CRASHES_TOO.name, BAD) for _ in range(4)]
    beside += [ask(harmed, SLOW.name, a_batch) for _ in range(20)]

    assert {end_of(harmed, each) for each in beside} == {("succeeded", "")}
    assert {end_of(harmed, each) for each in crashing} == {_GIVEN_UP}


def test_it_takes_an_exit_that_can_be_caught_for_an_error_of_the_rows(harmed: Service) -> None:
    response = ask(harmed, "quits", BAD, PATIENT)

    assert end_of(harmed, response) == ("failed", "prediction-failed")
    assert incidents(harmed, "quits") == ""
