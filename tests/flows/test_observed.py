"""A service as its operator sees it: lines that machines read, and metrics that survive its end."""

import json
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.flows.service import Service


def lines_of(service: Service) -> list[dict[str, Any]]:
    """All of the log: the greeting, which is for people, is the only thing that is no object."""
    return [json.loads(line) for line in service.output.splitlines() if line and not line.startswith("  ")]


def succeeded(service: Service) -> float:
    families = text_string_to_metric_families(service.get("/metrics").text)
    samples = [sample for family in families for sample in family.samples]
    return sum(
        each.value
        for each in samples
        if each.name == "mlserve_predictions_total" and each.labels["status"] == "succeeded"
    )


def test_it_can_be_followed_and_counted(tmp_path: Path, prepared: Service, penguin: dict[str, Any]) -> None:
    variables = {"MLSERVE_LOG_FORMAT": "json", "MLSERVE_ACCESS_LOG": "1"}
    service = Service(tmp_path, like=prepared, variables=variables).start()
    try:
        waiting = service.post("/api/predict", json=penguin, headers={"Prefer": "wait=20", "X-Request-ID": "first"})
        queued = service.post("/api/predict", json=penguin, headers={"X-Request-ID": "second"})
        service.get(f"/api/predict/{queued.json()['prediction_id']}", headers={"Prefer": "wait=20"})
        service.wait_for(lambda: succeeded(service) == 2, "both to be counted")
        service.post("/api/predict", json=penguin, headers={"Prefer": "wait=20"})
    finally:
        service.stop()

    lines = lines_of(service)
    by_request = {line["request_id"]: line for line in lines if line["logger"] == "mlserve.access" and "model" in line}
    assert by_request["first"]["prediction_id"] == waiting.json()["prediction_id"]
    assert by_request["second"]["prediction_id"] == queued.json()["prediction_id"]
    [batch] = [line for line in lines if line["logger"] == "predictions.runtime.accounting"]
    assert (batch["process"], batch["count"], batch["model"]) == ("worker", 1, "penguins")
    assert by_request["first"]["process"] == "web"
    assert str(penguin["body_mass_g"]) not in service.output

    again = Service(tmp_path, variables={"DATABASE_URL": service.environment["DATABASE_URL"]})
    again.launch()
    again.wait_for(lambda: succeeded(again) == 3, "what was counted in the last moment before the end")
    again.stop()
