"""A service that starts with other packages than its live version was inspected with."""

from typing import Any

import pytest

from mlserve.processes.children import CAN_FORK
from tests.flows.service import Service

pytestmark = pytest.mark.skipif(not CAN_FORK, reason="versions are asked by forked processes; Linux has them")

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
