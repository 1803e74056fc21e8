"""SQS queues as they should be: `create_queue`, and the problems that a deployment is told."""

import json
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from mlserve.errors import Unavailable
from predictions.queue import sqs_messages, sqs_queues
from tests.stand_ins.aws import StandIn


@pytest.fixture(autouse=True)
def _new_clients(aws: StandIn) -> Iterator[None]:
    sqs_messages.forget_clients()
    yield
    sqs_messages.forget_clients()


@pytest.fixture
def name(aws: StandIn) -> str:
    return aws.new_queue_name()


def attributes(aws: StandIn, name: str) -> dict[str, Any]:
    client = aws.client("sqs")
    url = client.get_queue_url(QueueName=name)["QueueUrl"]
    found: dict[str, Any] = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return found


def create_queue(*arguments: str) -> list[str]:
    out = StringIO()
    call_command("create_queue", *arguments, stdout=out)
    return out.getvalue().splitlines()


def test_it_makes_a_queue_and_one_for_dead_letters(aws: StandIn, name: str) -> None:
    said = create_queue(name)

    assert said == [f"Queue {name}: made.", f"Queue {name}-dead: made."]
    made, dead = attributes(aws, name), attributes(aws, f"{name}-dead")
    assert made["VisibilityTimeout"] == "1800"
    assert made["MessageRetentionPeriod"] == "345600"
    assert made["ReceiveMessageWaitTimeSeconds"] == "20"
    assert dead["MessageRetentionPeriod"] == "1209600"
    redrive = json.loads(made["RedrivePolicy"])
    assert redrive == {"deadLetterTargetArn": dead["QueueArn"], "maxReceiveCount": 5}
    for queue in (made, dead):
        assert queue["SqsManagedSseEnabled"] == "true"
        [statement] = json.loads(queue["Policy"])["Statement"]
        assert (statement["Effect"], statement["Principal"], statement["Resource"]) == ("Deny", "*", queue["QueueArn"])
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert sqs_queues.problems_of(name) == []


def test_it_leaves_a_queue_that_is_as_it_should_be(name: str) -> None:
    create_queue(name)

    assert create_queue(name) == [
        f"Queue {name}: there already, as it should be.",
        f"Queue {name}-dead: there already, as it should be.",
    ]


def test_it_corrects_a_queue_that_was_made_by_hand(aws: StandIn, name: str) -> None:
    aws.client("sqs").create_queue(QueueName=name)

    said = create_queue(name)

    assert "Corrected: it hides a message that was received for less than 1800 s" in said[0]
    assert f"does not put messages into {name}-dead after 5 tries" in said[0]
    assert sqs_queues.problems_of(name) == []


def test_it_keeps_what_is_better_and_what_others_allowed(aws: StandIn, name: str) -> None:
    arn = f"arn:aws:sqs:eu-central-1:123456789012:{name}"
    allowed = {"Sid": "Theirs", "Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}
    given = {
        "VisibilityTimeout": "7200",
        "KmsMasterKeyId": "alias/theirs",
        "Policy": json.dumps({"Version": "2012-10-17", "Statement": [allowed]}),
    }
    aws.client("sqs").create_queue(QueueName=name, Attributes=given)

    create_queue(name)

    made = attributes(aws, name)
    assert (made["VisibilityTimeout"], made["KmsMasterKeyId"]) == ("7200", "alias/theirs")
    assert [statement["Sid"] for statement in json.loads(made["Policy"])["Statement"]] == ["Theirs", "OnlyWithTls"]


def test_it_fits_the_queue_to_the_workers_timeout(aws: StandIn, name: str) -> None:
    create_queue(name, "--worker-timeout", "900")

    assert attributes(aws, name)["VisibilityTimeout"] == "5400"
    assert sqs_queues.problems_of(name, worker_timeout_seconds=900) == []


def test_it_takes_the_name_of_the_settings(settings: Any, name: str) -> None:
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "name": name}

    assert create_queue()[0] == f"Queue {name}: made."


def test_it_makes_it_in_the_region_that_is_asked_for(aws: StandIn, name: str) -> None:
    create_queue(name, "--region", "us-east-1")

    assert sqs_queues.problems_of(name, region="us-east-1") == []
    assert sqs_queues.problems_of(name) == [f"there is no queue {name}", f"there is no queue {name}-dead"]


def test_it_names_each_problem(aws: StandIn, name: str) -> None:
    aws.client("sqs").create_queue(QueueName=name)

    problems = sqs_queues.problems_of(name)

    assert problems[-1] == f"there is no queue {name}-dead"
    for part in ("less than 1800 s (6 times the worker's 300 s)", "when it is empty", "5 tries", "without TLS"):
        assert any(part in problem for problem in problems), part


@pytest.mark.parametrize("bad", ["orders.fifo", "with space", "", "x" * 76, "ünï"])
def test_it_refuses_a_name_that_sqs_would_refuse(bad: str) -> None:
    with pytest.raises(CommandError, match="cannot be the name of a queue"):
        create_queue(bad)


def test_it_says_in_a_line_that_aws_does_not_answer(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")

    with pytest.raises(CommandError, match=f"'{name}-dead': finding it failed: Could not connect"):
        create_queue(name)
    with pytest.raises(Unavailable):
        sqs_queues.problems_of(name)


def test_it_says_what_credentials_are_missing(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    with pytest.raises(CommandError, match="Unable to locate credentials"):
        create_queue(name)


def test_it_says_that_a_region_is_missing(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.delenv("AWS_ENDPOINT_URL")

    with pytest.raises(CommandError, match="Set AWS_DEFAULT_REGION"):
        create_queue(name)


def test_it_counts_what_waits_and_what_is_worked_on(aws: StandIn, name: str) -> None:
    create_queue(name)
    sqs_messages.send(name, "one")
    sqs_messages.send(name, "two")
    aws.client("sqs").receive_message(QueueUrl=sqs_messages.address_of(name))

    assert sqs_messages.depth_of(name) == sqs_messages.Depth(waiting=1, in_flight=1)
