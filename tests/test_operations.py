"""docs/operations.md and the alerts name what exists."""

import re
from typing import Any

import pytest
import yaml
from django.utils import timezone

from mlserve.observability.counters import Counters
from mlserve.operations.metrics import counted, gauges
from registry.models import Incident, Model, ModelVersion
from registry.models.incident import Kind
from tests.flows.service import ROOT

ALERTS = ROOT / "docs" / "server" / "alerts.yml"
DOCUMENT = (ROOT / "docs" / "operations.md").read_text("utf-8")


def rules() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(ALERTS.read_text("utf-8"))["groups"][0]["rules"]
    return found


@pytest.fixture
def exposed(db: None) -> dict[str, set[str]]:
    """The name of each sample with the names of its labels."""
    counters = Counters()
    for metric in ("duration", "queue", "model_load"):
        counters.observe(metric, 1.0, "m", "1")
    counters.count("predictions", "m", "1", label="failed")
    counters.count("validation_errors", "m")
    counters.count("requests", label="GET 200")
    version = ModelVersion.objects.create(
        model=Model.objects.create(name="m"), tag="1", status="live", size_bytes=1, schema={}, columns=[], outputs=[]
    )
    Incident.objects.create(version=version, kind=Kind.HUNG, process="x", happened_at=timezone.now())
    families = [*counted(counters.take()), *gauges(timezone.now())]
    return {each.name: set(each.labels) for family in families for each in family.samples}


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_it_asks_for_metrics_and_labels_that_exist(rule: dict[str, Any], exposed: dict[str, set[str]]) -> None:
    names = re.findall(r"\bmlserve_\w+", rule["expr"])
    labels = re.findall(r"by \(([^)]*)\)", rule["expr"]) + re.findall(r"\{(\w+)=", rule["expr"])
    wanted = {label.strip() for each in labels for label in each.split(",")} - {"job"}

    assert set(names) <= set(exposed)
    assert names or "up{" in rule["expr"]
    assert wanted <= {label for name in names for label in exposed[name]}
    assert rule["expr"].count("(") == rule["expr"].count(")")
    assert set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) <= wanted | {
        "instance",
        "model",
        "version",
    }


def test_it_explains_each_alert() -> None:
    explained = re.findall(r"^\| `(Mlserve\w+)` \|", DOCUMENT, re.MULTILINE)

    assert explained == sorted(explained, key=[rule["alert"] for rule in rules()].index)
    assert set(explained) == {rule["alert"] for rule in rules()}


def test_it_explains_each_metric(exposed: dict[str, set[str]]) -> None:
    families = {re.sub(r"_(bucket|count|sum)$", "", name) for name in exposed}

    assert {name for name in families if name not in DOCUMENT} == set()


def test_it_names_no_metric_that_does_not_exist(exposed: dict[str, set[str]]) -> None:
    families = set(exposed) | {re.sub(r"_(bucket|count|sum)$", "", name) for name in exposed}

    assert set(re.findall(r"\bmlserve_[a-z_]+", DOCUMENT)) <= families
