"""Several machines on one PostgreSQL, one bucket and one Redis."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import accumulate
from typing import Any

import pytest

from tests.flows.hosts import Host, Shared, ended, submit
from tests.stand_ins import aws
from tests.stand_ins.redis import RedisServer

# A second of sleep must fit.
BATCH_SECONDS = 3


@pytest.fixture(scope="module")
def shared(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    redis = RedisServer(tmp_path_factory.mktemp("redis"), password="of-the-queue").start()
    with aws.running() as stand_in:
        variables = {
            "MLSERVE_QUEUE": redis.url,
            "MLSERVE_BUCKET": stand_in.new_bucket(),
            "AWS_ENDPOINT_URL": stand_in.endpoint_url,
            "MLSERVE_BATCH_SECONDS": str(BATCH_SECONDS),
            "MLSERVE_BATCH_ROWS": "1",
            # So that the workers predict, also for who waits.
            "MLSERVE_IN_PLACE_BYTES": "0",
        }
        yield Shared(tmp_path_factory.mktemp("shared"), variables, postgres_url)
    redis.stop()


@contextmanager
def hosts(shared: Shared, *names: str) -> Iterator[list[Host]]:
    """New machines; at the end nothing of them runs."""
    made = [shared.host(name) for name in names]
    try:
        yield made
    finally:
        for each in made:
            if each.process is not None and each.process.poll() is None:
                each.stop()
        shared.ask("DELETE FROM predictions_worker RETURNING 1")


@pytest.fixture
def two_hosts(shared: Shared) -> Iterator[list[Host]]:
    """Each with a web server and one worker."""
    with hosts(shared, "first", "second") as both:
        for each in both:
            each.launch()
        for each in both:
            each.wait_for(partial(has_workers, each, 2), "both to be ready")
        yield both


def has_workers(host: Host, count: int) -> bool:
    return bool(host.get("/readyz").json()["checks"]["workers"].get("seen") == count)


def test_it_predicts_on_another_host_than_the_one_that_was_asked(shared: Shared, penguin: dict[str, Any]) -> None:
    with hosts(shared, "asked", "working") as (asked, working):
        asked.launch("--only", "web")
        working.launch("--only", "worker")
        asked.wait_for(partial(has_workers, asked, 1), "a worker")

        told = list(ended(asked, [submit(asked, "penguins", penguin) for _ in range(20)], seconds=20))
        seconds = [_seconds_to_an_end(asked, penguin) for _ in range(10)]

        assert Counter(each["status"] for each in told) == {"succeeded": 20}
        assert told[0]["result"]["predictions"] == ["Gentoo"]
        # The worker listens to its own host for seconds; a message from another one does not wait until then.
        assert sorted(seconds)[5] < 1, seconds
        assert asked.get("/readyz").status_code == 200
        assert working.stop() == 0
        assert "Traceback" not in working.output + asked.output
        assert "of-the-queue" not in working.output + asked.output


def _seconds_to_an_end(host: Host, penguin: dict[str, Any]) -> float:
    time.sleep(0.2)
    started = time.monotonic()
    list(ended(host, [submit(host, "penguins", penguin)], seconds=20))
    return time.monotonic() - started


def test_it_uses_the_workers_of_all_hosts(two_hosts: list[Host]) -> None:
    """The host that was asked does not keep the work to itself while its only worker is busy."""
    asked, _ = two_hosts

    for _ in range(3):  # by chance it may go well without
        told = list(ended(asked, [submit(asked, "sleeper", {"seconds": 0.5}) for _ in range(8)], seconds=60))
        assert Counter(each["status"] for each in told) == {"succeeded": 8}
        assert most_at_once(told) == 2, "each host has one worker, and both are needed"


def most_at_once(predictions: list[dict[str, Any]]) -> int:
    begun = [(each["started_at"], 1) for each in predictions]
    over = [(each["finished_at"], -1) for each in predictions]
    return max(accumulate(change for _, change in sorted(begun + over)))


def test_it_loses_nothing_with_a_host_that_is_gone(shared: Shared, two_hosts: list[Host]) -> None:
    staying, leaving = two_hosts
    [lost] = shared.ask("SELECT name FROM predictions_worker WHERE pid = ANY(%s)", leaving.children())

    accepted = [submit(each, "sleeper", {"seconds": 2}) for each in (staying, leaving) * 4]
    held = "SELECT 1 FROM predictions_prediction WHERE status = 'running' AND lease_holder = %s"
    staying.wait_for(lambda: shared.ask(held, lost), "the host to predict something")
    leaving.kill_everything()
    shared.let_leases_run_out(lost)
    staying.manage("sweep_predictions")  # by itself it comes once a minute
    told = list(ended(staying, accepted, seconds=30))

    assert Counter(each["status"] for each in told) == {"succeeded": 8}
    attempts = shared.ask("SELECT attempts FROM predictions_prediction WHERE id = ANY(%s)", accepted)
    assert Counter(attempts) == {1: 7, 2: 1}
