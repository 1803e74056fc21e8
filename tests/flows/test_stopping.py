"""A service that is told to stop while a request waits for an inspection, or a model hangs."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests import pipelines
from tests.flows.service import Service, command_of
from tests.torture import models
from tests.torture.models import BY_NAME

ACCOUNT = ("uploader", "uploader-password")
# Far less than the 60 s of a call, and the 90 s after which systemd kills what it has told to stop.
_STOP_SECONDS = 15.0
_SLOW_SCHEMA = b"import time\ntime.sleep(100)\n"


def inspections(service: Service) -> list[int]:
    return [pid for pid in service.children() if "registry.inspection.child" in command_of(pid)]


def test_it_answers_who_waits_for_an_inspection_before_it_stops(own_service: Service, tmp_path: Path) -> None:
    own_service.environment |= {
        "DJANGO_SUPERUSER_USERNAME": ACCOUNT[0],
        "DJANGO_SUPERUSER_PASSWORD": ACCOUNT[1],
        "DJANGO_SUPERUSER_EMAIL": "uploader@example.org",
        "MLSERVE_MAX_WAIT": "1",
    }
    own_service.manage("createsuperuser", "--noinput")
    own_service.start("--workers", "1", "--web-processes", "1")
    artifact = pipelines.save(pipelines.array_regressor(), tmp_path / "model.joblib").read_bytes()
    files = {"artifact": ("model.joblib", artifact), "schema": ("validation.py", _SLOW_SCHEMA)}

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(
            own_service.post, "/api/models/slow/versions", data={"tag": "1"}, files=files, auth=ACCOUNT
        )
        own_service.wait_for(lambda: inspections(own_service), "the inspection to begin")
        children = own_service.children()
        status = own_service.stop()

    response = answer.result()
    assert response.status_code == 503, response.text
    assert "The server is stopping" in response.json()["detail"]
    assert int(response.headers["Retry-After"]) > 0
    assert status == 0
    own_service.wait_for_none(children)
    assert "is killed" not in own_service.output
    assert [model for model in json.loads(own_service.manage("list_models", "--json")) if "slow" in str(model)] == []


def test_it_stops_within_seconds_while_a_model_hangs(own_service: Service, tmp_path: Path) -> None:
    """What hung is given back without blame, and predicted after the next start."""
    own_service.environment |= {
        "MLSERVE_TRUSTED_MODULES": "tests.torture.faulty",
        "MLSERVE_BATCH_SECONDS": "60",
        "MLSERVE_MAX_ATTEMPTS": "1",
    }
    models.publish([BY_NAME["hangs"]], tmp_path, own_service.manage)
    own_service.start("--workers", "1", "--web-processes", "1")
    bad, path = {"x": -1, "serial": 0}, "/api/models/hangs/predict"

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(own_service.post, path, json=bad, headers={"Prefer": "wait=20"})
        queued = own_service.post(path, json=bad).json()["url"].removeprefix(own_service.url)
        own_service.wait_for(lambda: own_service.get(queued).json()["status"] == "running", "the worker to begin")
        children, started = own_service.children(), time.monotonic()
        status = own_service.stop()
        seconds = time.monotonic() - started

    assert status == 0
    assert seconds < _STOP_SECONDS
    assert waiting.result().status_code in (202, 503), waiting.result().text
    own_service.wait_for_none(children)
    assert "is killed" not in own_service.output
    own_service.start("--workers", "1", "--web-processes", "1")
    assert own_service.get(queued).json()["status"] in ("queued", "running")
    assert own_service.get("/api/models/hangs/versions/1.0").json()["incidents"] == ""
    own_service.stop()
