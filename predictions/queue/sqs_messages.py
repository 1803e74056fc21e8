"""The only door to SQS. Its messages: sent, received, deleted, counted.

Clients are made once per process and shared by its threads: making one takes as long as a dozen messages. botocore
does that without boto3, which adds half as much again. Region, address and credentials come from the usual AWS
variables.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoRegionError
from botocore.session import Session

from mlserve.errors import QueueMissing, Unavailable

# What SQS allows: for one wait, and for one answer.
LONGEST_WAIT_SECONDS = 20
MOST_RECEIVED = 10
_LONGEST_QUOTE = 300
_MISSING = frozenset({"QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"})
_RETRIES = {"mode": "standard", "total_max_attempts": 2}
# A request is answered after its wake-up was sent, so that must not take long, even where nothing answers.
_PROMPT = Config(connect_timeout=2, read_timeout=3, retries=_RETRIES, max_pool_connections=50)
_WAITING = Config(connect_timeout=2, read_timeout=LONGEST_WAIT_SECONDS + 5, retries=_RETRIES)


@dataclass(frozen=True)
class Message:
    """`receipt` deletes it; it is another one each time that the message is received."""

    receipt: str
    body: str


@dataclass(frozen=True)
class Depth:
    """About how many messages there are: SQS counts approximately, and a minute late."""

    waiting: int
    in_flight: int


def send(queue: str, body: str) -> str:
    """The message's id. Raises Unavailable."""
    with answering("sending", queue):
        sent = client().send_message(QueueUrl=address_of(queue), MessageBody=body)
        return str(sent["MessageId"])


def receive(queue: str, *, wait_seconds: int, hidden_seconds: int) -> list[Message]:
    """Up to ten messages, after `wait_seconds` at most; they are hidden from others for `hidden_seconds`."""
    with answering("receiving", queue):
        received = client(waits=True).receive_message(
            QueueUrl=address_of(queue),
            MaxNumberOfMessages=MOST_RECEIVED,
            WaitTimeSeconds=wait_seconds,
            VisibilityTimeout=hidden_seconds,
        )
        return [Message(each["ReceiptHandle"], each["Body"]) for each in received.get("Messages", ())]


def delete(queue: str, receipt: str) -> None:
    """Raises Unavailable."""
    with answering("deleting a message", queue):
        client().delete_message(QueueUrl=address_of(queue), ReceiptHandle=receipt)


def depth_of(queue: str) -> Depth:
    """Raises Unavailable. One request."""
    names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    found = attributes_of(queue, names)
    return Depth(*(int(found[name]) for name in names))


def attributes_of(queue: str, names: Sequence[str], *, region: str | None = None) -> dict[str, str]:
    """Raises Unavailable."""
    with answering("reading attributes", queue):
        answer = client(region=region).get_queue_attributes(
            QueueUrl=address_of(queue, region=region), AttributeNames=list(names)
        )
        return dict(answer.get("Attributes", {}))


def address_of(queue: str, *, region: str | None = None) -> str:
    """The URL of a queue that is there; asked for once per process. Raises QueueMissing or Unavailable."""
    return _address(queue, region)


def client(*, region: str | None = None, waits: bool = False) -> Any:
    """A client for calls that answer at once, or for those that wait for messages. Threads may share it."""
    return _client(region, waits)


def forget_clients() -> None:
    """Start anew: with other variables, or in a forked process, which must not share its parent's connections."""
    _client.cache_clear()
    _address.cache_clear()


@cache
def _address(queue: str, region: str | None) -> str:
    with answering("finding it", queue):
        return str(client(region=region).get_queue_url(QueueName=queue)["QueueUrl"])


@cache
def _client(region: str | None, waits: bool) -> Any:
    with answering("setting up a client"):
        return Session().create_client("sqs", region_name=region, config=_WAITING if waits else _PROMPT)


os.register_at_fork(after_in_child=forget_clients)


@contextmanager
def answering(act: str, queue: str = "") -> Iterator[None]:
    """What botocore raises in the block becomes QueueMissing or Unavailable; `act` is a gerund."""
    name = f"SQS queue {queue!r}" if queue else "SQS"
    try:
        yield
    except NoRegionError as error:
        raise Unavailable(f"{name}: {act} needs a region. Set AWS_DEFAULT_REGION.") from error
    except ClientError as error:
        problem = error.response["Error"]
        if problem.get("Code") in _MISSING:
            raise QueueMissing(
                f"There is no SQS queue {queue!r} in this account and region. "
                f"Make it: .venv/bin/python manage.py create_queue {queue}"
            ) from error
        said = f"{problem.get('Code', '')}: {problem.get('Message', '')}"[:_LONGEST_QUOTE]
        raise Unavailable(f"{name}: {act} was refused: {said}") from error
    except (BotoCoreError, ValueError) as error:  # ValueError: an AWS_ENDPOINT_URL that is none
        raise Unavailable(f"{name}: {act} failed: {str(error)[:_LONGEST_QUOTE]}") from error
