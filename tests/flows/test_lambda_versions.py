"""A deployment over time on the stand-in for AWS: updated, rolled back, removed. What holds data stays."""

import base64
import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.flows.on_lambda import BUCKET, QUEUE, WEB, WORKER, OnLambda


@pytest.fixture
def on_lambda(new_on_lambda: Callable[[], OnLambda]) -> Iterator[OnLambda]:
    service = new_on_lambda()
    yield service
    service.close()


@pytest.fixture
def newer_package(package: Path, tmp_path: Path) -> Path:
    """Other code, as far as AWS can tell."""
    newer = Path(shutil.copyfile(package, tmp_path / "newer.zip"))
    with zipfile.ZipFile(newer, "a") as added:
        added.writestr("mlserve/newer.txt", "newer")
    return newer


def test_it_is_deployed_updated_rolled_back_and_removed(
    on_lambda: OnLambda, package: Path, newer_package: Path
) -> None:
    on_lambda.deploy(package)
    assert_deployed(on_lambda, package)

    on_lambda.deploy(newer_package)
    assert_deployed(on_lambda, newer_package)

    on_lambda.deployment("rollback")
    assert_deployed(on_lambda, package)

    on_lambda.deployment("undeploy", "--yes")
    assert_removed(on_lambda)


def assert_deployed(service: OnLambda, package: Path) -> None:
    """As zappa_settings.json says, with what Zappa leaves out, and with this very package."""
    client = service.region.client("lambda")
    code = base64.b64encode(hashlib.sha256(package.read_bytes()).digest()).decode()
    for function, timeout, memory in ((WEB, 29, 1769), (WORKER, 300, 3008)):
        found = client.get_function_configuration(FunctionName=function)
        assert (found["CodeSha256"], found["Timeout"], found["MemorySize"]) == (code, timeout, memory)
        assert found["Handler"] == "mlserve.lambda_entry.lambda_handler"
        assert found["Environment"]["Variables"]["SECRET_KEY"] == service.environment["SECRET_KEY"]
        assert_narrow(service, found["Role"].rpartition("/")[2])
    mapping = client.list_event_source_mappings(FunctionName=WORKER)["EventSourceMappings"]
    assert [each["FunctionResponseTypes"] for each in mapping] == [["ReportBatchItemFailures"]]
    assert [each["ScalingConfig"] for each in mapping] == [{"MaximumConcurrency": 5}]
    rules = service.region.client("events").list_rules()["Rules"]
    assert [(each["ScheduleExpression"], each["State"]) for each in rules] == [("rate(1 minute)", "ENABLED")]
    apis = service.region.client("apigateway").get_rest_apis()["items"]
    assert [(each["name"], each["binaryMediaTypes"]) for each in apis] == [(WEB, ["*/*"])]
    assert httpx.get(f"{service.url}/api/models", timeout=60).json() == []
    assert service.region.tick() == 1


def assert_narrow(service: OnLambda, role: str) -> None:
    """No action is every action, and only what AWS cannot narrow is on every resource."""
    iam = service.region.client("iam")
    names = iam.list_role_policies(RoleName=role)["PolicyNames"]
    documents = [iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in names]
    statements: list[dict[str, Any]] = [each for document in documents for each in _read(document)["Statement"]]
    assert statements
    assert not [each for each in statements if any("*" in action for action in _listed(each["Action"]))]
    assert not [each for each in statements if "*" in _listed(each["Resource"])]


def assert_removed(service: OnLambda) -> None:
    client = service.region.client("lambda")
    assert client.list_functions()["Functions"] == []
    assert client.list_event_source_mappings()["EventSourceMappings"] == []
    assert service.region.client("events").list_rules()["Rules"] == []
    assert service.region.client("apigateway").get_rest_apis()["items"] == []
    assert service.region.client("iam").list_roles()["Roles"] == []
    assert httpx.get(f"{service.url}/healthz", timeout=60).status_code == 403
    service.region.client("s3").head_bucket(Bucket=BUCKET)
    assert service.waiting_messages(QUEUE) == service.waiting_messages(f"{QUEUE}-dead") == 0
    assert service.query("SELECT count(*) FROM predictions_prediction") == [(0,)]


def _read(document: Any) -> Any:
    return json.loads(document) if isinstance(document, str) else document


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
