"""The event source mapping after Zappa made it, on the stand-in for AWS."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from deployment.mapping import MappingBroken, complete
from tests.deployment.on_moto import make_function, make_mapping, make_queue, make_role, narrow_policy

Client = Callable[[str], Any]
FUNCTION = "mlserve-worker"


@pytest.fixture
def queue_arn(client: Client) -> str:
    """A worker function and its queue, without a mapping."""
    make_function(client, "worker", make_role(client, "worker", narrow_policy("worker")))
    return make_queue(client, "mlserve")


def no_sleep(_seconds: float) -> None:
    """AWS needs seconds for a change; the stand-in none."""


def test_it_asks_for_partial_batches_and_a_limit(client: Client, queue_arn: str) -> None:
    uuid = make_mapping(client, queue_arn)

    complete(client("lambda"), FUNCTION, queue_arn, concurrency=7, sleep=no_sleep)

    found = client("lambda").get_event_source_mapping(UUID=uuid)
    assert found["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert found["ScalingConfig"] == {"MaximumConcurrency": 7}
    assert found["State"] == "Enabled"


def test_it_changes_nothing_by_being_repeated(client: Client, queue_arn: str) -> None:
    make_mapping(client, queue_arn)

    for _ in range(2):
        complete(client("lambda"), FUNCTION, queue_arn, concurrency=5, sleep=no_sleep)

    assert len(client("lambda").list_event_source_mappings(FunctionName=FUNCTION)["EventSourceMappings"]) == 1


def test_it_enables_a_mapping_that_was_switched_off(client: Client, queue_arn: str) -> None:
    uuid = make_mapping(client, queue_arn, Enabled=False)

    complete(client("lambda"), FUNCTION, queue_arn, concurrency=5, sleep=no_sleep)

    assert client("lambda").get_event_source_mapping(UUID=uuid)["State"] == "Enabled"


def test_it_says_when_aws_refused_the_mapping(client: Client, queue_arn: str) -> None:
    """Zappa logs the refusal, and goes on as if messages would be delivered."""
    with pytest.raises(MappingBroken, match=r"No mapping leads from .*visibility timeout"):
        complete(client("lambda"), FUNCTION, queue_arn, concurrency=5, sleep=no_sleep)


class Forgetful:
    """A client whose updates are accepted and change nothing, or are refused `busy` times."""

    def __init__(self, client: Any, *, busy: int = 0) -> None:
        self._client, self._busy, self.slept = client, busy, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def update_event_source_mapping(self, **options: Any) -> Any:
        if self._busy:
            self._busy -= 1
            raise ClientError({"Error": {"Code": "ResourceInUseException", "Message": "busy"}}, "Update")
        return None

    def sleep(self, _seconds: float) -> None:
        self.slept += 1


def test_it_believes_what_it_reads_back_only(client: Client, queue_arn: str) -> None:
    make_mapping(client, queue_arn)

    with pytest.raises(MappingBroken, match=r"FunctionResponseTypes is \[\] instead of .*MaximumConcurrency"):
        complete(Forgetful(client("lambda")), FUNCTION, queue_arn, concurrency=5, sleep=no_sleep)


def test_it_waits_while_aws_is_busy_with_the_mapping(client: Client, queue_arn: str) -> None:
    make_mapping(
        client, queue_arn, FunctionResponseTypes=["ReportBatchItemFailures"], ScalingConfig={"MaximumConcurrency": 5}
    )
    busy = Forgetful(client("lambda"), busy=3)

    complete(busy, FUNCTION, queue_arn, concurrency=5, sleep=busy.sleep)

    assert busy.slept == 3


def test_it_does_not_wait_for_ever(client: Client, queue_arn: str) -> None:
    make_mapping(client, queue_arn)
    busy = Forgetful(client("lambda"), busy=1000)

    with pytest.raises(MappingBroken, match="AWS refuses to change the mapping"):
        complete(busy, FUNCTION, queue_arn, concurrency=5, sleep=busy.sleep)
    assert busy.slept < 100
