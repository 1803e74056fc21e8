"""What is deployed, looked at over HTTP: functions, mapping, roles, schedule, queues, API."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deployment.account import Account
from deployment.checks import account as account_checks
from deployment.checks import front, functions, queue, roles, storage
from deployment.evidence import Evidence
from deployment.findings import Finding, NotKnown, NotYet, Status
from tests.deployment import on_moto
from tests.deployment.told import ENVIRONMENT, SETTINGS

Client = Callable[[str], Any]


@pytest.fixture
def evidence(account: Account, tmp_path: Path) -> Evidence:
    (tmp_path / "zappa_settings.json").write_text(json.dumps(SETTINGS), encoding="utf-8")
    return Evidence(ENVIRONMENT, root=tmp_path, account=account)


@pytest.fixture
def worker(client: Client) -> str:
    """The worker function's ARN, beside a queue, with a role that is narrow."""
    on_moto.make_queue(client, "mlserve")
    return on_moto.make_function(client, "worker", on_moto.make_role(client, "worker", on_moto.narrow_policy("worker")))


def queue_arn(client: Client) -> str:
    sqs = client("sqs")
    url = sqs.get_queue_url(QueueName="mlserve")["QueueUrl"]
    return str(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"])


@pytest.mark.parametrize(
    ("look", "stage"),
    [
        (functions.there, ("web",)), (functions.same_code, ()), (functions.schedule, ()), (queue.mapping, ()),
        (queue.visibility, ()), (queue.dead_letters, ()), (queue.made_as_it_should_be, ()), (storage.bucket, ()),
        (roles.least_privilege, ("web",)), (front.api, ()), (front.binary, ()), (front.health, ()),
    ],
)  # fmt: skip
def test_it_is_not_yet_there_in_an_empty_region(
    evidence: Evidence, look: Callable[..., Finding], stage: tuple[str, ...]
) -> None:
    with pytest.raises(NotYet):
        look(evidence, *stage)


def test_it_finds_a_function_and_its_environment(evidence: Evidence, worker: str) -> None:
    assert evidence.function("worker")["FunctionArn"] == worker
    assert evidence.variables("worker")["MLSERVE_BUCKET"] == "artifacts"
    assert evidence.variables("web") is ENVIRONMENT  # what would become of it


def test_it_finds_stages_with_other_code(evidence: Evidence, client: Client, worker: str) -> None:
    on_moto.make_function(client, "web", on_moto.make_role(client, "web", on_moto.narrow_policy("web")), code="2")

    assert functions.same_code(evidence).status is Status.FAILED


def test_it_finds_a_mapping_as_zappa_leaves_it(evidence: Evidence, client: Client, worker: str) -> None:
    on_moto.make_mapping(client, queue_arn(client))

    assert queue.mapping(evidence).status is Status.OK
    assert queue.partial_batches(evidence).status is Status.FAILED
    assert queue.concurrency(evidence).status is Status.FAILED


def test_it_finds_a_mapping_that_was_completed(evidence: Evidence, client: Client, worker: str) -> None:
    more = {"FunctionResponseTypes": ["ReportBatchItemFailures"], "ScalingConfig": {"MaximumConcurrency": 5}}
    on_moto.make_mapping(client, queue_arn(client), **more)

    assert queue.partial_batches(evidence).status is Status.OK
    assert queue.concurrency(evidence).found == "5 workers at a time"


@pytest.mark.parametrize(
    ("seconds", "status"), [(30, Status.FAILED), (1000, Status.FAILED), (1800, Status.OK), (3600, Status.OK)]
)
def test_it_compares_visibility_with_the_worker(
    evidence: Evidence, client: Client, seconds: int, status: Status
) -> None:
    on_moto.make_queue(client, "mlserve", visibility_seconds=seconds)

    assert queue.visibility(evidence).status is status


def test_it_counts_dead_letters(evidence: Evidence, client: Client) -> None:
    on_moto.make_queue(client, "mlserve")
    sqs = client("sqs")
    sqs.send_message(QueueUrl=sqs.get_queue_url(QueueName="mlserve-dead")["QueueUrl"], MessageBody="poison")

    finding = queue.dead_letters(evidence)

    assert (finding.status, finding.found) == (Status.WARNING, "1 messages are in mlserve-dead")


def test_it_names_variables_that_are_no_longer_set(evidence: Evidence, client: Client, worker: str) -> None:
    variables = {**ENVIRONMENT, "MLSERVE_BATCH_ROWS": "64", "ALLOWED_HOSTS": "x"}
    client("lambda").update_function_configuration(FunctionName="mlserve-worker", Environment={"Variables": variables})

    finding = functions.leftovers(evidence, "worker")

    assert finding.status is Status.WARNING
    assert "MLSERVE_BATCH_ROWS" in finding.found
    assert "ALLOWED_HOSTS" not in finding.found


def test_it_compares_variables_only_where_the_deployer_runs_it(
    account: Account, evidence: Evidence, worker: str
) -> None:
    elsewhere = Evidence({}, root=evidence.root, account=account)

    with pytest.raises(NotKnown, match="not the one that deploys"):
        functions.leftovers(elsewhere, "worker")


def test_it_finds_the_minute_of_the_schedule(evidence: Evidence, client: Client, worker: str) -> None:
    on_moto.make_rule(client, worker)

    assert functions.schedule(evidence).status is Status.OK


@pytest.mark.parametrize("rule", [{"expression": "rate(4 minutes)"}, {"state": "DISABLED"}])
def test_it_finds_a_schedule_that_does_not_sweep(
    evidence: Evidence, client: Client, worker: str, rule: dict[str, str]
) -> None:
    on_moto.make_rule(client, worker, **rule)

    assert functions.schedule(evidence).status is Status.FAILED


def test_it_accepts_a_narrow_role(evidence: Evidence, worker: str) -> None:
    assert roles.least_privilege(evidence, "worker").status is Status.OK


@pytest.mark.parametrize(
    "statement",
    [
        {"Action": ["sqs:*"], "Resource": "arn:aws:sqs:eu-central-1:1:mlserve"},
        {"Action": "*", "Resource": "*"},
        {"Action": ["s3:GetObject"], "Resource": "*"},
        {"NotAction": ["iam:*"], "Resource": "arn:aws:sqs:eu-central-1:1:q"},
    ],
)
def test_it_finds_a_role_that_may_too_much(
    evidence: Evidence, client: Client, worker: str, statement: dict[str, Any]
) -> None:
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]}
    client("iam").put_role_policy(
        RoleName="mlserve-worker-ZappaLambdaExecutionRole", PolicyName="by-hand", PolicyDocument=json.dumps(policy)
    )

    assert roles.least_privilege(evidence, "worker").status is Status.FAILED


def with_queue_actions(actions: list[str]) -> dict[str, Any]:
    document = on_moto.narrow_policy("web")
    next(each for each in document["Statement"] if each["Sid"] == "Queue")["Action"] = actions
    return document


@pytest.mark.parametrize(
    ("actions", "status", "words"),
    [
        (["sqs:SendMessage"], Status.FAILED, "lacks sqs:GetQueueAttributes on"),
        (["sqs:SendMessage", "sqs:GetQueueUrl", "sqs:GetQueueAttributes", "sqs:DeleteQueue"],
         Status.WARNING, "also allows sqs:DeleteQueue on"),
    ],
)  # fmt: skip
def test_it_compares_a_role_with_what_the_stage_needs(
    evidence: Evidence, client: Client, actions: list[str], status: Status, words: str
) -> None:
    on_moto.make_function(client, "web", on_moto.make_role(client, "web", with_queue_actions(actions)))

    finding = roles.least_privilege(evidence, "web")

    assert finding.status is status
    assert words in finding.found


def test_it_finds_the_api_and_its_address(evidence: Evidence, client: Client) -> None:
    identifier = on_moto.make_api(client)

    assert front.api(evidence).found == f"https://{identifier}.execute-api.eu-central-1.amazonaws.com/web"
    assert evidence.url() == front.api(evidence).found


def test_it_says_who_we_are_and_compares_clocks(evidence: Evidence) -> None:
    assert account_checks.credentials(evidence).found.startswith("arn:aws:sts::123456789012:")
    assert evidence.account.identity["skew_seconds"] == 0.0


def test_it_does_not_look_at_functions_that_are_to_be_replaced(account: Account, tmp_path: Path, worker: str) -> None:
    (tmp_path / "zappa_settings.json").write_text(json.dumps(SETTINGS), encoding="utf-8")
    planned = Evidence(ENVIRONMENT, root=tmp_path, account=account, is_planned=True)

    with pytest.raises(NotYet, match="after the deploy"):
        planned.function("worker")


def test_it_asks_an_endpoint_that_is_gone_only_once(monkeypatch: Any, evidence: Evidence) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    gone = Account()

    with pytest.raises(NotKnown, match="did not answer"):
        gone.ask("sqs", "list_queues")
    monkeypatch.setattr(gone, "_client", None)  # a second use would fail otherwise
    with pytest.raises(NotKnown, match="did not answer"):
        gone.ask("sqs", "list_queues")


def test_it_needs_credentials(monkeypatch: Any, evidence: Evidence) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    without = Evidence(ENVIRONMENT, root=evidence.root, account=Account())

    assert account_checks.credentials(without).status is Status.FAILED
    with pytest.raises(NotKnown, match="credentials"):
        without.function("worker")


def test_it_needs_a_region(monkeypatch: Any, evidence: Evidence) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    nowhere = Evidence({}, root=evidence.root, account=Account())

    assert account_checks.region(nowhere).status is Status.FAILED
    with pytest.raises(NotKnown, match="AWS_DEFAULT_REGION"):
        nowhere.function("worker")
