"""make rollback and make undeploy, over HTTP on the stand-in for AWS."""

import hashlib
import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from deployment.deploy import Deployment
from deployment.evidence import STAGES
from deployment.package_store import Package
from deployment.rollback import rollback
from deployment.stack import delete_stack
from deployment.steps import DeploymentFailed
from deployment.undeploy import undeploy
from tests.deployment import on_moto

Client = Callable[[str], Any]


@pytest.fixture
def deployment(client: Client, monkeypatch: Any) -> Any:
    """Both functions on package `1`, which lies in the bucket."""
    monkeypatch.setenv("MLSERVE_BUCKET", "artifacts")
    client("s3").create_bucket(Bucket="artifacts", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    on_moto.make_queue(client, "mlserve")
    for stage in STAGES:
        role = on_moto.make_role(client, stage, on_moto.narrow_policy(stage))
        on_moto.make_function(client, stage, role, code="1")
    keep(client, "1")
    found = Deployment(os.environ)
    yield found
    found.account.close()


def keep(client: Client, text: str) -> Package:
    """In the bucket, as a deploy leaves it."""
    content = on_moto.zipped(text)
    package = Package(hashlib.sha256(content).hexdigest(), len(content))
    client("s3").put_object(Bucket="artifacts", Key=package.key, Body=content)
    return package


def bring(client: Client, stage: str, text: str) -> None:
    client("lambda").update_function_code(FunctionName=f"mlserve-{stage}", ZipFile=on_moto.zipped(text), Publish=True)


def held(client: Client) -> list[str]:
    found = [client("lambda").get_function_configuration(FunctionName=f"mlserve-{stage}") for stage in STAGES]
    return [each["CodeSha256"] for each in found]


def test_it_brings_both_functions_back(client: Client, deployment: Deployment) -> None:
    first = held(client)
    keep(client, "2")
    for stage in STAGES:
        bring(client, stage, "2")

    rollback(deployment)

    assert held(client) == first


def test_it_goes_forth_when_asked_again(client: Client, deployment: Deployment) -> None:
    second = keep(client, "2")
    for stage in STAGES:
        bring(client, stage, "2")

    rollback(deployment)
    rollback(deployment)

    assert held(client) == [second.code] * 2


def test_it_undoes_a_deploy_that_ended_between_the_functions(client: Client, deployment: Deployment) -> None:
    first = held(client)
    keep(client, "2")
    bring(client, "worker", "2")

    rollback(deployment)

    assert held(client) == first


def test_it_brings_back_the_package_of_a_digest(client: Client, deployment: Deployment) -> None:
    for text in ("2", "3"):
        keep(client, text)
        for stage in STAGES:
            bring(client, stage, text)
    first = keep(client, "1")

    rollback(deployment, to=first.sha256[:8].upper())

    assert held(client) == [first.code] * 2


def test_it_says_so_when_the_older_package_is_gone(client: Client, deployment: Deployment) -> None:
    client("s3").delete_object(Bucket="artifacts", Key=keep(client, "1").key)
    keep(client, "2")
    for stage in STAGES:
        bring(client, stage, "2")
    now = held(client)

    with pytest.raises(DeploymentFailed, match="No earlier package"):
        rollback(deployment)

    assert held(client) == now


def test_it_removes_what_a_deploy_makes_and_leaves_data(client: Client, deployment: Deployment, capsys: Any) -> None:
    arn = client("lambda").get_function_configuration(FunctionName="mlserve-worker")["FunctionArn"]
    on_moto.make_mapping(client, queue_arn(client))
    on_moto.make_rule(client, arn)
    on_moto.make_api(client)

    undeploy(deployment, is_yes=True)

    assert client("lambda").list_functions()["Functions"] == []
    assert client("lambda").list_event_source_mappings()["EventSourceMappings"] == []
    assert client("apigateway").get_rest_apis()["items"] == []
    assert client("events").list_rules()["Rules"] == []
    assert [role for role in client("iam").list_roles()["Roles"] if "mlserve" in role["RoleName"]] == []
    assert [bucket["Name"] for bucket in client("s3").list_buckets()["Buckets"]] == ["artifacts"]
    assert len(client("sqs").list_queues()["QueueUrls"]) == 2
    assert "the bucket artifacts" in capsys.readouterr().out


def queue_arn(client: Client) -> str:
    sqs = client("sqs")
    url = sqs.get_queue_url(QueueName="mlserve")["QueueUrl"]
    return str(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"])


def test_it_removes_nothing_twice(client: Client, deployment: Deployment, capsys: Any) -> None:
    undeploy(deployment, is_yes=True)
    capsys.readouterr()

    undeploy(deployment, is_yes=True)

    assert "removed" not in capsys.readouterr().out


def test_it_removes_nothing_unasked(client: Client, deployment: Deployment) -> None:
    with pytest.raises(DeploymentFailed, match="--yes"):
        undeploy(deployment, is_yes=False)

    assert len(client("lambda").list_functions()["Functions"]) == 2


def test_it_does_not_touch_a_stack_of_another_owner(client: Client, deployment: Deployment) -> None:
    template = {"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}
    client("cloudformation").create_stack(StackName="mlserve-web", TemplateBody=json.dumps(template))

    with pytest.raises(DeploymentFailed, match="not made by this deployment"):
        delete_stack(deployment.account, "mlserve-web")

    assert client("cloudformation").describe_stacks(StackName="mlserve-web")["Stacks"]
