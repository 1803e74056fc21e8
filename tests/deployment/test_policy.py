"""What the functions may do."""

from collections.abc import Iterator
from typing import Any

import pytest

from deployment.policy import Needs, Place, parameters_in, policy

PLACE = Place("eu-central-1", "123456789012")


def needs(stage: str = "worker", **more: Any) -> Needs:
    return Needs(stage=stage, function=f"mlserve-{stage}", bucket="artifacts", queue="mlserve", **more)


def allowed(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for statement in document["Statement"]:
        if statement["Effect"] == "Allow":
            yield from ((action, resource) for action in statement["Action"] for resource in statement["Resource"])


def test_it_lets_only_the_worker_receive_messages() -> None:
    web, worker = (dict(allowed(policy(PLACE, needs(stage)))) for stage in ("web", "worker"))

    assert "sqs:SendMessage" in web
    assert "sqs:ReceiveMessage" not in web
    assert worker["sqs:ReceiveMessage"] == "arn:aws:sqs:eu-central-1:123456789012:mlserve"


@pytest.mark.parametrize("stage", ["web", "worker"])
def test_it_allows_nothing_on_everything(stage: str) -> None:
    found = list(allowed(policy(PLACE, needs(stage, parameters=["/mlserve/key"]))))

    assert not [action for action, _ in found if "*" in action]
    assert not [resource for _, resource in found if resource == "*"]
    assert all("123456789012" in resource or ":s3:::artifacts" in resource for _, resource in found)


def test_it_needs_network_interfaces_only_in_a_vpc() -> None:
    outside, inside = (dict(allowed(policy(PLACE, needs(in_vpc=in_vpc)))) for in_vpc in (False, True))

    assert "ec2:CreateNetworkInterface" not in outside
    assert inside["ec2:CreateNetworkInterface"] == "*"


def test_it_opens_only_the_parameters_that_are_used() -> None:
    document = policy(PLACE, needs(parameters=["/mlserve/key", "/mlserve/url"]))

    arns = [f"arn:aws:ssm:eu-central-1:123456789012:parameter/mlserve/{name}" for name in ("key", "url")]
    assert [resource for action, resource in allowed(document) if action == "ssm:GetParameters"] == arns
    decrypt = next(each for each in document["Statement"] if each["Sid"] == "Decrypt")
    assert decrypt["Condition"]["StringEquals"]["kms:EncryptionContext:PARAMETER_ARN"] == arns
    assert decrypt["Condition"]["StringEquals"]["kms:ViaService"] == "ssm.eu-central-1.amazonaws.com"


def test_it_asks_for_no_secrets_where_none_are_used() -> None:
    assert not [action for action, _ in allowed(policy(PLACE, needs())) if action.startswith(("ssm:", "kms:"))]


def test_it_denies_the_functions_access_to_their_packages() -> None:
    """A function that could write there would decide what runs after the next rollback."""
    denied = [each for each in policy(PLACE, needs())["Statement"] if each["Effect"] == "Deny"]

    assert [each["Resource"] for each in denied] == [["arn:aws:s3:::artifacts/packages/*"]]
    assert "s3:PutObject" in denied[0]["Action"]


def test_it_names_other_partitions() -> None:
    document = policy(Place("cn-north-1", "123456789012", "aws-cn"), needs())

    assert all(resource.startswith("arn:aws-cn:") for _, resource in allowed(document))


def test_it_finds_parameters_among_variables() -> None:
    assert parameters_in({"SECRET_KEY": "ssm:/mlserve/key", "MLSERVE_BUCKET": "artifacts"}) == ["/mlserve/key"]
