"""The permissions of a function's role, as IAM's JSON: its own logs, its bucket, its queue, its secrets. Pure.

Nothing is allowed on everything but network interfaces inside a VPC: they have no name before they are made, and AWS
knows no narrower resource for them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WEB, WORKER = "web", "worker"
# The folder of the bucket for packages: write access to it means control over the functions' code.
PACKAGES = "packages/"

_ON_OBJECTS = (
    "s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts",
)  # fmt: skip
_SENDS = ("sqs:SendMessage", "sqs:GetQueueUrl", "sqs:GetQueueAttributes")
_RECEIVES = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility")
_IN_A_VPC = (
    "ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DeleteNetworkInterface",
    "ec2:DescribeSubnets", "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses",
)  # fmt: skip


@dataclass(frozen=True)
class Place:
    """A region of an account: `partition` is `aws` except in China and for the government of the United States."""

    region: str
    account: str
    partition: str = "aws"

    def arn(self, service: str, resource: str) -> str:
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"

    def bucket_arn(self, name: str) -> str:
        return f"arn:{self.partition}:s3:::{name}"


@dataclass(frozen=True)
class Needs:
    """`parameters` are names in the Parameter Store, each with its slash."""

    stage: str
    function: str
    bucket: str
    queue: str
    parameters: Sequence[str] = ()
    in_vpc: bool = False


def policy(place: Place, needs: Needs) -> dict[str, Any]:
    statements = [*_logs(place, needs), *_storage(place, needs), _queue(place, needs)]
    if needs.parameters:
        statements += _secrets(place, needs)
    if needs.in_vpc:
        statements.append(_allow("Network", _IN_A_VPC, ["*"]))
    return {"Version": "2012-10-17", "Statement": statements}


def _logs(place: Place, needs: Needs) -> list[dict[str, Any]]:
    group = place.arn("logs", f"log-group:/aws/lambda/{needs.function}")
    return [_allow("Logs", ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"), [group, f"{group}:*"])]


def _storage(place: Place, needs: Needs) -> list[dict[str, Any]]:
    """Without ListBucket, S3 answers 403 instead of 404 for a key that is not there."""
    bucket = place.bucket_arn(needs.bucket)
    packages = {
        "Sid": "NoPackages",
        "Effect": "Deny",
        "Action": list(_ON_OBJECTS),
        "Resource": [f"{bucket}/{PACKAGES}*"],
    }
    return [
        _allow("Objects", _ON_OBJECTS, [f"{bucket}/*"]),
        _allow("Bucket", ("s3:ListBucket",), [bucket]),
        packages,
    ]


def _queue(place: Place, needs: Needs) -> dict[str, Any]:
    """Lambda receives with the rights of the function that it calls."""
    actions = (*_SENDS, *_RECEIVES) if needs.stage == WORKER else _SENDS
    return _allow("Queue", actions, [place.arn("sqs", needs.queue)])


def _secrets(place: Place, needs: Needs) -> list[dict[str, Any]]:
    """Any key of the account decrypts, but only for the Parameter Store and only these parameters."""
    arns = sorted(place.arn("ssm", f"parameter/{name.lstrip('/')}") for name in set(needs.parameters))
    decrypt = _allow("Decrypt", ("kms:Decrypt",), [place.arn("kms", "key/*")])
    via = {"kms:ViaService": f"ssm.{place.region}.amazonaws.com", "kms:EncryptionContext:PARAMETER_ARN": arns}
    return [_allow("Secrets", ("ssm:GetParameters",), arns), {**decrypt, "Condition": {"StringEquals": via}}]


def _allow(sid: str, actions: Sequence[str], resources: Sequence[str]) -> dict[str, Any]:
    return {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": list(resources)}


def parameters_in(variables: Mapping[str, str]) -> list[str]:
    """The names behind values such as `ssm:/mlserve/secret-key`."""
    return [value.removeprefix("ssm:").strip() for value in variables.values() if value.startswith("ssm:")]
