"""The deployment's gateway to AWS: clients with time limits, and botocore's errors as ours."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
from boto3.exceptions import S3UploadFailedError
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from deployment.findings import NotKnown

# Longer than any function may run here (the worker's 300 s), so that a migration is waited for and never sent twice.
_INVOKE_SECONDS = 330
_INVOKER = "the function"  # a separate client, for its longer time limit
_CONNECT_SECONDS, _READ_SECONDS, _ATTEMPTS = 5, 30, 3
_MOST_SHOWN = 300
_ABSENT = frozenset({
    "ResourceNotFoundException", "NoSuchEntity", "NotFoundException", "404", "NoSuchBucket",
    "AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist",
})  # fmt: skip
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"})


class Absent(Exception):
    """AWS says that there is no such thing."""


class Account:
    """One AWS account and region, from the usual AWS variables. Every call either answers or raises Absent or
    NotKnown; an endpoint that was unreachable once is not tried again.
    """

    def __init__(self, region: str | None = None) -> None:
        self._session = boto3.Session(region_name=region)
        self._clients: dict[str, Any] = {}
        self._unreachable: dict[str, str] = {}

    @property
    def region(self) -> str:
        if not self._session.region_name:
            raise NotKnown("no region is set: AWS_DEFAULT_REGION=eu-central-1, for instance")
        return str(self._session.region_name)

    @cached_property
    def identity(self) -> Mapping[str, Any]:
        """`Account`, `Arn`, and `skew_seconds`: how far AWS's clock was from this machine's as it answered."""
        before = datetime.now(UTC)
        answer = self.ask("sts", "get_caller_identity")
        told = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        skew = skew_seconds(parsedate_to_datetime(told), before, datetime.now(UTC)) if told else 0.0
        # An HTTP date has no fractions of a second.
        return {"Account": answer["Account"], "Arn": answer["Arn"], "skew_seconds": max(skew - 1.0, 0.0)}

    @cached_property
    def has_credentials(self) -> bool:
        try:
            return self._session.get_credentials() is not None
        except BotoCoreError as error:
            raise NotKnown(f"the credentials cannot be read: {error}") from error

    def ask(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """One call of the API. Cost: one request, at most three."""
        if service in self._unreachable:
            raise NotKnown(self._unreachable[service])
        if not self.has_credentials:
            raise NotKnown("no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE")
        try:
            answer: dict[str, Any] = getattr(self._client(service), operation)(**parameters)
        except ClientError as error:
            raise _in_our_words(error, service, operation) from error
        except NoCredentialsError as error:
            raise NotKnown("no AWS credentials") from error
        except BotoCoreError as error:
            self._unreachable[service] = f"{service} did not answer: {error}"
            raise NotKnown(self._unreachable[service]) from error
        return answer

    def invoke(self, function: str, event: Mapping[str, Any]) -> Any:
        """What the function returned for the event. Raises NotKnown with the function's own error when it failed."""
        answer = self.ask(_INVOKER, "invoke", FunctionName=function, Payload=json.dumps(event).encode())
        payload = answer["Payload"].read().decode("utf-8", "replace")
        value = json.loads(payload) if payload else None
        if "FunctionError" in answer:
            raise NotKnown(f"{function} failed: {_error_of(value)}")
        return value

    def upload(self, path: Path, bucket: str, key: str) -> None:
        """The file in parts, each retried; it appears whole or not at all."""
        self.ask("s3", "head_bucket", Bucket=bucket)
        try:
            self._client("s3").upload_file(str(path), bucket, key, ExtraArgs={"ServerSideEncryption": "AES256"})
        except (S3UploadFailedError, BotoCoreError, ClientError) as error:
            raise NotKnown(f"{path.name} could not be uploaded to {bucket}: {error}") from error

    def close(self) -> None:
        for client in self._clients.values():
            client.close()

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            name = "lambda" if service == _INVOKER else service
            self._clients[service] = self._session.client(name, region_name=self.region, config=_config(service))
        return self._clients[service]


def skew_seconds(told: datetime, before: datetime, after: datetime) -> float:
    """How far the time `told` is outside the interval in which it was sent."""
    return max((before - told).total_seconds(), (told - after).total_seconds(), 0.0)


def _config(service: str) -> Config:
    is_slow = service == _INVOKER
    return Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_INVOKE_SECONDS if is_slow else _READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": 1 if is_slow else _ATTEMPTS},
        tcp_keepalive=True,
    )


def _in_our_words(error: ClientError, service: str, operation: str) -> Exception:
    code = error.response.get("Error", {}).get("Code", "")
    message = _sentence(error.response.get("Error", {}).get("Message", ""))
    if code in _ABSENT or (code == "ValidationError" and message.endswith("does not exist")):  # CloudFormation's way
        return Absent(message)
    if code in _DENIED:
        return NotKnown(f"these credentials may not do {service} {operation.replace('_', '-')}")
    return NotKnown(f"{service} {operation.replace('_', '-')} was refused: {code}: {message}")


def _error_of(value: Any) -> str:
    """Lambda's error object as a sentence; its traceback stays in the log."""
    if not isinstance(value, dict):
        return "it gave no reason; its log has one"
    kind, message = value.get("errorType", "error"), str(value.get("errorMessage", ""))
    return f"{kind}: {_sentence(message)}"


def _sentence(text: str) -> str:
    """`text` on one line, cut to a readable length."""
    return " ".join(text.split())[:_MOST_SHOWN]
