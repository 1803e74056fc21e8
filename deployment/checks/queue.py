"""The queue, its dead letters, and the mapping that delivers messages to the worker."""

from collections.abc import Mapping
from functools import partial

from deployment.account import Absent
from deployment.checking import judged, told
from deployment.evidence import WORKER, Evidence
from deployment.findings import Finding, NotYet, failed, ok, warning

# Amazon's advice: time for a batch to be throttled and retried before its messages are delivered again.
_VISIBILITY_TIMES = 6
_PARTIAL = "ReportBatchItemFailures"
# SQS gives a mapping at least two functions, at most a thousand.
_MOST_AT_ONCE = 1000


def made_as_it_should_be(evidence: Evidence) -> Finding:
    name = evidence.queue_name
    _attributes(evidence, name, fix_hint=True)
    from predictions.queue import sqs_queues

    return judged(
        told(sqs_queues.problems_of, name),
        well=f"{name}, encrypted, with dead letters",
        fix=f".venv/bin/python manage.py create_queue {name}",
    )


def visibility(evidence: Evidence) -> Finding:
    seconds = int(_attributes(evidence, evidence.queue_name)["VisibilityTimeout"])
    timeout = int(evidence.current(WORKER, "Timeout", "timeout_seconds", default=30))
    fix = f".venv/bin/python manage.py create_queue {evidence.queue_name} --worker-timeout {timeout}"
    if seconds < timeout:
        return failed(
            f"messages are delivered again after {seconds} s, the worker may take {timeout} s",
            f"{fix}: AWS refuses such a mapping, and Zappa does not say so",
        )
    if seconds < _VISIBILITY_TIMES * timeout:
        return failed(f"{seconds} s, less than {_VISIBILITY_TIMES} times the worker's {timeout} s", fix)
    return ok(f"{seconds} s, the worker's timeout is {timeout} s")


def dead_letters(evidence: Evidence) -> Finding:
    name = f"{evidence.queue_name}-dead"
    count = int(_attributes(evidence, name)["ApproximateNumberOfMessages"])
    if count:
        return warning(
            f"{count} messages are in {name}",
            "the worker's log says why each failed (zappa tail worker); predictions are not lost by it: the sweep "
            f"finds them. When fixed: aws sqs purge-queue for {name}",
        )
    return ok(f"{name} is empty")


def mapping(evidence: Evidence) -> Finding:
    found = evidence.mapping()
    if found.get("State") not in ("Enabled", "Creating", "Enabling", "Updating"):
        return failed(
            f"it is {found.get('State')}: {found.get('StateTransitionReason', 'no reason given')}",
            f"aws lambda update-event-source-mapping --enabled --uuid {found['UUID']}",
        )
    return ok(f"{evidence.queue_name}, {found.get('BatchSize', '?')} messages at a time")


def partial_batches(evidence: Evidence) -> Finding:
    if _PARTIAL in evidence.mapping().get("FunctionResponseTypes", []):
        return ok("only messages that failed come back")
    return failed("not set", f"make deploy: without {_PARTIAL} Lambda deletes a failed message after its first try")


def concurrency(evidence: Evidence) -> Finding:
    most = evidence.mapping().get("ScalingConfig", {}).get("MaximumConcurrency")
    if most is None:
        return failed(
            "no limit", "make deploy (MLSERVE_WORKER_CONCURRENCY): a burst would open a connection per worker"
        )
    if not 2 <= int(most) <= _MOST_AT_ONCE:
        return failed(f"{most}", f"MLSERVE_WORKER_CONCURRENCY: 2 to {_MOST_AT_ONCE}")
    return ok(f"{most} workers at a time")


def _attributes(evidence: Evidence, name: str, *, fix_hint: bool = False) -> Mapping[str, str]:
    ask = partial(evidence.account.ask, "sqs")
    try:
        url = ask("get_queue_url", QueueName=name)["QueueUrl"]
        found: Mapping[str, str] = ask("get_queue_attributes", QueueUrl=url, AttributeNames=["All"])["Attributes"]
    except Absent as error:
        hint = f": make deploy, or .venv/bin/python manage.py create_queue {evidence.queue_name}" if fix_hint else ""
        raise NotYet(f"there is no queue {name}{hint}") from error
    return found
