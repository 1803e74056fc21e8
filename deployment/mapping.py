"""The event source mapping, which delivers the queue's messages to the worker, as Zappa makes it and as it has to be.

Zappa never asks for partial batch responses, so that one failed message would count as done, nor for a limit, so that
a burst would open a connection per worker; and it logs AWS's refusal of a mapping as if nothing were wrong.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

RESPONSES = ["ReportBatchItemFailures"]
_TRIES = 30
_PAUSE_SECONDS = 2.0
_ENABLED = frozenset({"Enabled", "Enabling"})
_BUSY = frozenset({"Creating", "Updating", "Enabling"})


class MappingBroken(Exception):
    """Messages would stay in the queue, or be lost; the message says what to do."""


def complete(
    client: Any, function: str, queue_arn: str, *, concurrency: int, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Set what Zappa does not, then check that AWS applied it. Raises MappingBroken. Cost: up to two minutes."""
    uuid = _settled(client, _found(client, function, queue_arn), sleep)["UUID"]
    _update(client, uuid, concurrency, sleep)
    _require(_settled(client, client.get_event_source_mapping(UUID=uuid), sleep), queue_arn, concurrency)


def _found(client: Any, function: str, queue_arn: str) -> Mapping[str, Any]:
    of_queue = client.list_event_source_mappings(EventSourceArn=queue_arn)["EventSourceMappings"]
    found = [each for each in of_queue if _function_of(each) == function]
    if not found:
        raise MappingBroken(
            f"No mapping leads from {queue_arn} to {function}: AWS refused it (Zappa's error is above). Is the queue "
            "there, and its visibility timeout at least the function's timeout? "
            ".venv/bin/python manage.py create_queue makes it so."
        )
    return dict(found[0])


def _function_of(mapping: Mapping[str, Any]) -> str:
    """The name in arn:aws:lambda:REGION:ACCOUNT:function:NAME, after which a version may follow."""
    return str(mapping["FunctionArn"]).split(":")[6]


def _settled(client: Any, mapping: Mapping[str, Any], sleep: Callable[[float], None]) -> Mapping[str, Any]:
    """The mapping once AWS is done with the last change of it, or as it is when that takes too long."""
    for _ in range(_TRIES):
        if mapping.get("State") not in _BUSY:
            break
        sleep(_PAUSE_SECONDS)
        mapping = client.get_event_source_mapping(UUID=mapping["UUID"])
    return mapping


def _update(client: Any, uuid: str, concurrency: int, sleep: Callable[[float], None]) -> None:
    for attempt in range(1, _TRIES + 1):
        try:
            client.update_event_source_mapping(
                UUID=uuid,
                Enabled=True,
                FunctionResponseTypes=RESPONSES,
                ScalingConfig={"MaximumConcurrency": concurrency},
            )
        except ClientError as error:
            is_busy = error.response.get("Error", {}).get("Code") == "ResourceInUseException"
            if not is_busy or attempt == _TRIES:
                raise MappingBroken(f"AWS refuses to change the mapping {uuid}: {error}") from error
            sleep(_PAUSE_SECONDS)
        else:
            return


def _require(mapping: Mapping[str, Any], queue_arn: str, concurrency: int) -> None:
    limit = mapping.get("ScalingConfig", {}).get("MaximumConcurrency")
    wrong = [
        f"{what} is {found!r} instead of {wanted!r}"
        for what, found, wanted in (
            ("State", "Enabled" if mapping.get("State") in _ENABLED else mapping.get("State"), "Enabled"),
            ("EventSourceArn", mapping.get("EventSourceArn"), queue_arn),
            ("FunctionResponseTypes", mapping.get("FunctionResponseTypes", []), RESPONSES),
            ("MaximumConcurrency", limit, concurrency),
        )
        if found != wanted
    ]
    if wrong:
        raise MappingBroken(f"The mapping of {queue_arn} is not as it has to be: {'; '.join(wrong)}. Deploy again.")
