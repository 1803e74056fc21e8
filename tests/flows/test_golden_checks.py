"""A service that starts with other packages than its live version was inspected with."""

import time
from typing import Any

import pytest

from tests.flows.service import Service

# As after an upgrade that changes an answer: asked in another environment only, where row 0 was something else.
_UPGRADE = """
from registry.models import GoldenCheck, ModelVersion
GoldenCheck.objects.update(environment="0" * 64)
version = ModelVersion.objects.live().get()
version.golden_outputs["predictions"][0] = "Albatross"
version.save(update_fields=["golden_outputs"])
"""
_DOWNGRADE = """
from registry.models import ModelVersion
version = ModelVersion.objects.live().get()
probabilities = version.golden_outputs["probabilities"][0]
version.golden_outputs["predictions"][0] = max(probabilities, key=probabilities.get)
version.save(update_fields=["golden_outputs"])
"""
# The example under so many names, as after an upgrade of all packages. A version with a verdict is not asked again.
_MANY = """
from registry.models import GoldenCheck, Model, ModelVersion
GoldenCheck.objects.all().delete()
version = ModelVersion.objects.select_related("model").get()
for number in range({count} - 1):
    model, version.pk, version.model.pk = version.model, None, None
    model.name = f"copy-{{number}}"
    model.save(force_insert=True)
    version.model = model
    version.save(force_insert=True)
"""
_MOST_SECONDS = 30
_ASKED = "answers as inspected, in this environment, too"


def _verdict(service: Service) -> str | None:
    verdict: str | None = service.get("/api/models/penguins/versions/1.0").json()["verdict"]
    return verdict


def test_it_is_not_ready_while_its_models_answer_otherwise(own_service: Service, penguin: dict[str, Any]) -> None:
    own_service.manage("shell", "-c", _UPGRADE)
    own_service.launch("--prepare")
    own_service.wait_for(lambda: _verdict(own_service) == "differs", "the version to be asked")

    ready = own_service.get("/readyz")
    assert ready.status_code == 503
    assert [name for name, part in ready.json()["checks"].items() if not part["ok"]] == ["models"]
    assert "penguins 1.0" in ready.json()["checks"]["models"]["detail"]
    assert own_service.post("/api/predict", json=penguin, headers={"Prefer": "wait=20"}).status_code == 200

    own_service.manage("shell", "-c", _DOWNGRADE)
    own_service.manage("verify_models")
    assert own_service.get("/readyz").status_code == 200


@pytest.mark.parametrize("count", [20, pytest.param(300, marks=pytest.mark.long)])
def test_it_asks_all_live_versions_within_half_a_minute(own_service: Service, count: int) -> None:
    own_service.manage("shell", "-c", _MANY.format(count=count))
    own_service.launch("--web-processes", "1", "--workers", "1")
    own_service.wait_for(lambda: _ASKED in own_service.output, "the first one to be asked")
    started = time.monotonic()

    own_service.wait_for(lambda: own_service.output.count(_ASKED) == count, "all to be asked", seconds=300)

    assert time.monotonic() - started < _MOST_SECONDS
    assert own_service.get("/readyz").status_code == 200
