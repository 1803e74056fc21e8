"""A deployment on the stand-in for AWS, made by hand as Zappa makes one, for checks to look at."""

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

from deployment.checks.functions import HANDLER
from deployment.policy import Needs, Place, policy
from tests.deployment.told import ENVIRONMENT

Client = Callable[[str], Any]
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def narrow_policy(stage: str) -> dict[str, Any]:
    return policy(Place("eu-central-1", "123456789012"), Needs(stage, f"mlserve-{stage}", "artifacts", "mlserve"))


def make_role(client: Client, stage: str, document: dict[str, Any]) -> str:
    name, iam = f"mlserve-{stage}-ZappaLambdaExecutionRole", client("iam")
    arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(_TRUST))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="zappa-permissions", PolicyDocument=json.dumps(document))
    return arn


def make_function(client: Client, stage: str, role_arn: str, *, code: str = "1", **changes: Any) -> str:
    options = {
        "FunctionName": f"mlserve-{stage}", "Runtime": "python3.13", "Role": role_arn, "Handler": HANDLER,
        "Code": {"ZipFile": zipped(code)}, "Timeout": 29 if stage == "web" else 300, "MemorySize": 3008,
        "Environment": {"Variables": dict(ENVIRONMENT)}, "Publish": True, **changes,
    }  # fmt: skip
    return str(client("lambda").create_function(**options)["FunctionArn"])


def make_queue(client: Client, name: str, *, visibility_seconds: int = 1800) -> str:
    sqs = client("sqs")
    sqs.create_queue(QueueName=f"{name}-dead")
    url = sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": str(visibility_seconds)})["QueueUrl"]
    return str(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"])


def make_mapping(client: Client, queue_arn: str, **more: Any) -> str:
    found = client("lambda").create_event_source_mapping(
        EventSourceArn=queue_arn, FunctionName="mlserve-worker", BatchSize=10, **more
    )
    return str(found["UUID"])


def make_rule(client: Client, function_arn: str, expression: str = "rate(1 minute)", *, state: str = "ENABLED") -> None:
    events = client("events")
    events.put_rule(Name="mlserve-worker-sweep", ScheduleExpression=expression, State=state)
    events.put_targets(Rule="mlserve-worker-sweep", Targets=[{"Id": "1", "Arn": function_arn}])


def make_api(client: Client) -> str:
    gateway = client("apigateway")
    identifier: str = gateway.create_rest_api(name="mlserve-web", binaryMediaTypes=["*/*"])["id"]
    root = gateway.get_resources(restApiId=identifier)["items"][0]["id"]
    gateway.put_method(restApiId=identifier, resourceId=root, httpMethod="GET", authorizationType="NONE")
    gateway.put_integration(restApiId=identifier, resourceId=root, httpMethod="GET", type="MOCK")
    gateway.create_deployment(restApiId=identifier, stageName="web")
    return identifier


def zipped(text: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as package:
        package.writestr(zipfile.ZipInfo("code.txt"), text)
    return file.getvalue()
