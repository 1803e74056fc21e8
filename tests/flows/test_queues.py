"""`manage.py serve` with a queue that is a service of its own."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.flows.hosts import ended, submit
from tests.flows.service import Service
from tests.stand_ins.aws import StandIn
from tests.stand_ins.redis import RedisServer


@pytest.fixture
def on_sqs(tmp_path: Path, prepared: Service, aws: StandIn) -> Iterator[Service]:
    """A service whose queue has not been made yet."""
    variables = {"MLSERVE_QUEUE": "sqs", "MLSERVE_QUEUE_NAME": aws.new_queue_name()}
    service = Service(tmp_path, like=prepared, variables=variables)
    yield service
    if service.process and service.process.poll() is None:
        service.stop()


def test_it_predicts_by_way_of_sqs_and_stops_without_waiting_for_a_message(
    on_sqs: Service, penguin: dict[str, Any]
) -> None:
    on_sqs.manage("create_queue")
    on_sqs.start()

    told = list(ended(on_sqs, [submit(on_sqs, "penguins", penguin) for _ in range(5)], seconds=30))
    time.sleep(6)  # now no worker listens any more, and the cluster waits for a message
    last = list(ended(on_sqs, [submit(on_sqs, "penguins", penguin)], seconds=30))
    time.sleep(6)
    started = time.monotonic()

    assert on_sqs.stop() == 0
    assert time.monotonic() - started < 10
    assert {each["status"] for each in told + last} == {"succeeded"}
    assert "Traceback" not in on_sqs.output


def test_it_says_what_to_do_about_a_queue_that_is_missing(on_sqs: Service) -> None:
    on_sqs.launch("--only", "worker")
    assert on_sqs.process is not None

    assert on_sqs.process.wait(30) == 1
    assert f"manage.py create_queue {on_sqs.environment['MLSERVE_QUEUE_NAME']}" in on_sqs.output
    assert "Traceback" not in on_sqs.output


def test_it_starts_before_its_redis_and_outlives_a_restart_of_it(
    tmp_path: Path, prepared: Service, penguin: dict[str, Any]
) -> None:
    redis = RedisServer(tmp_path)
    service = Service(tmp_path, like=prepared, variables={"MLSERVE_QUEUE": redis.url})
    service.launch()
    service.wait_for(lambda: "start without their queue" in service.output, "the workers to start")

    for _ in range(2):
        redis.start()
        service.wait_for(lambda: service.get("/readyz").status_code == 200, "the service to be ready")
        told = list(ended(service, [submit(service, "penguins", penguin)], seconds=30))
        assert told[0]["status"] == "succeeded"
        redis.stop()

    service.wait_for(lambda: service.get("/readyz").status_code == 503, "the loss to be noticed")
    assert service.stop() == 0
    assert "Traceback" not in service.output
