"""A service that is told to stop while a request waits for an inspection."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests import pipelines
from tests.flows.service import Service, command_of

ACCOUNT = ("uploader", "uploader-password")
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
