"""From the environment of the deployer to the settings of Zappa."""

from typing import Any

import pytest

from deployment.policy import Place
from deployment.stages import NotReady, Plan, Stage, plan, worker_concurrency

PLACE = Place("eu-central-1", "123456789012")
READY = {
    "SECRET_KEY": "a-key-of-more-than-fifty-characters-0123456789-0123456789",
    "DATABASE_URL": "postgres://user:password@host/name",
    "MLSERVE_BUCKET": "artifacts",
}
QUEUE = {"function": "mlserve.lambda_entry.lambda_handler", "event_source": {"arn": "", "batch_size": 10}}


def planned(stage: str = "web", **environment: str) -> Plan:
    events: list[dict[str, Any]] = (
        [QUEUE, {"function": "x", "expression": "rate(1 minute)"}] if stage == "worker" else []
    )
    described = Stage(stage, f"mlserve-{stage}", {"MLSERVE_QUEUE": "sqs", "DEBUG": "0"}, events)
    return plan(described, {**READY, **environment}, PLACE)


def test_it_passes_on_what_the_service_needs() -> None:
    assert planned(MLSERVE_MAX_ROWS="100").variables == {
        **READY,
        "MLSERVE_MAX_ROWS": "100",
        "MLSERVE_QUEUE": "sqs",
        "MLSERVE_QUEUE_NAME": "mlserve",
        "DEBUG": "0",
        "ALLOWED_HOSTS": ".execute-api.eu-central-1.amazonaws.com",
        "MLSERVE_BASE_PATH": "/web",
    }


@pytest.mark.parametrize(
    "name", ["MLSERVE_TOKEN", "MLSERVE_DATA_DIR", "MLSERVE_DEPLOY_BUCKET", "AWS_SECRET_ACCESS_KEY", "HOME", "DEBUG"]
)
def test_it_keeps_back_what_belongs_to_this_machine(name: str) -> None:
    assert planned(**{name: "1"}).variables.get(name, "0") == "0"


def test_it_wakes_workers_by_sqs_whatever_this_machine_uses() -> None:
    assert planned(MLSERVE_QUEUE="orm").variables["MLSERVE_QUEUE"] == "sqs"


def test_it_stands_at_the_root_of_a_domain() -> None:
    variables = planned(MLSERVE_DOMAIN="ml.example.org").variables

    assert variables["ALLOWED_HOSTS"] == "ml.example.org"
    assert "MLSERVE_BASE_PATH" not in variables


def test_it_fills_in_the_queue() -> None:
    events = planned("worker", MLSERVE_QUEUE_NAME="orders").events

    assert events[0]["event_source"] == {"arn": "arn:aws:sqs:eu-central-1:123456789012:orders", "batch_size": 10}
    assert QUEUE["event_source"] == {"arn": "", "batch_size": 10}  # zappa_settings.json itself stays


def test_it_uploads_to_the_bucket_unless_another_is_named() -> None:
    assert planned().deploy_bucket == "artifacts"
    assert planned(MLSERVE_DEPLOY_BUCKET="zips").deploy_bucket == "zips"


def test_it_joins_a_vpc() -> None:
    found = planned(MLSERVE_SUBNETS="subnet-1, subnet-2", MLSERVE_SECURITY_GROUPS="sg-1")

    assert found.vpc == {"SubnetIds": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-1"]}
    assert [each["Sid"] for each in found.policy["Statement"]][-1] == "Network"


def test_it_opens_the_parameters_that_variables_name() -> None:
    found = planned(SECRET_KEY="ssm:/mlserve/key", DATABASE_URL="ssm:/mlserve/url")

    assert found.variables["SECRET_KEY"] == "ssm:/mlserve/key"
    assert "Secrets" in [each["Sid"] for each in found.policy["Statement"]]


def test_it_lists_everything_that_is_missing() -> None:
    with pytest.raises(NotReady) as refused:
        plan(Stage("web", "mlserve-web", {}, []), {"SECRET_KEY": " ", "MLSERVE_SUBNETS": "subnet-1"}, PLACE)

    for name in ("SECRET_KEY", "DATABASE_URL", "MLSERVE_BUCKET", "MLSERVE_SECURITY_GROUPS"):
        assert name in str(refused.value)


def test_it_refuses_a_database_on_a_disk() -> None:
    with pytest.raises(NotReady, match="DATABASE_URL begins with 'sqlite'"):
        planned(DATABASE_URL="sqlite:///var/mlserve.sqlite3")


def test_it_does_not_echo_a_password() -> None:
    with pytest.raises(NotReady) as refused:
        planned(DATABASE_URL="mysql://user:hunter2@host/name")

    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("text", ["1", "0", "1001", "many", "-3"])
def test_it_refuses_a_concurrency_that_sqs_does_not_know(text: str) -> None:
    with pytest.raises(NotReady, match="from 2 to 1000"):
        worker_concurrency({"MLSERVE_WORKER_CONCURRENCY": text})


def test_it_runs_five_workers_unless_told_otherwise() -> None:
    assert worker_concurrency({}) == 5
    assert worker_concurrency({"MLSERVE_WORKER_CONCURRENCY": "20"}) == 20
