"""Event source mappings: messages of a queue become events of a function, as many at once as the mapping says."""

import contextlib
import json
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tests.stand_ins.runtime_api import InvocationResult

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.2
_DEFAULT_CONCURRENCY = 5
_MOST_AT_ONCE = 10  # of ReceiveMessage


@dataclass(frozen=True)
class SourceMapping:
    """`responses` as in FunctionResponseTypes; concurrency as in ScalingConfig, None when none is set."""

    identifier: str
    queue_arn: str
    function_arn: str
    is_enabled: bool
    batch_size: int
    responses: Sequence[str]
    concurrency: int | None


class Pollers:
    """One thread per mapping that takes messages, calls the function and deletes what it did."""

    def __init__(
        self, sqs: Any, mappings: Callable[[], Sequence[SourceMapping]], invoke: Callable[..., InvocationResult]
    ) -> None:
        self._sqs, self._mappings, self._invoke = sqs, mappings, invoke
        self._is_over = threading.Event()
        self._threads: dict[str, threading.Thread] = {}
        self._running, self._lock = 0, threading.Lock()
        threading.Thread(target=self._watch, name="mappings", daemon=True).start()

    def close(self) -> None:
        self._is_over.set()
        for thread in self._threads.values():
            thread.join(5)

    def _watch(self) -> None:
        while not self._is_over.wait(_LOOK_SECONDS):
            for mapping in self._mappings():
                if mapping.identifier not in self._threads:
                    poll = threading.Thread(target=self._poll, args=[mapping.identifier], daemon=True)
                    self._threads[mapping.identifier] = poll
                    poll.start()

    def _current(self, identifier: str) -> SourceMapping | None:
        return next((each for each in self._mappings() if each.identifier == identifier and each.is_enabled), None)

    def _poll(self, identifier: str) -> None:
        with ThreadPoolExecutor(thread_name_prefix="mapping") as pool:
            while not self._is_over.is_set():
                mapping = self._current(identifier)
                if mapping is None or self._running >= (mapping.concurrency or _DEFAULT_CONCURRENCY):
                    self._is_over.wait(_LOOK_SECONDS)
                elif messages := self._received(mapping):
                    with self._lock:
                        self._running += 1
                    pool.submit(self._deliver, mapping, messages)
                else:
                    self._is_over.wait(_LOOK_SECONDS)

    def _received(self, mapping: SourceMapping) -> list[dict[str, Any]]:
        try:
            found = self._sqs.receive_message(
                QueueUrl=self._url(mapping),
                MaxNumberOfMessages=min(mapping.batch_size, _MOST_AT_ONCE),
                AttributeNames=["All"],
                WaitTimeSeconds=0,
            )
        except self._sqs.exceptions.QueueDoesNotExist:
            return []
        return list(found.get("Messages", ()))

    def _url(self, mapping: SourceMapping) -> str:
        return str(self._sqs.get_queue_url(QueueName=mapping.queue_arn.rpartition(":")[2])["QueueUrl"])

    def _deliver(self, mapping: SourceMapping, messages: Sequence[Mapping[str, Any]]) -> None:
        """What failed stays, and is seen again after the queue's visibility timeout."""
        try:
            event = {"Records": [_record(message, mapping) for message in messages]}
            result = self._invoke(mapping.function_arn, json.dumps(event).encode())
            failed = _failed(result, mapping, messages)
            for message in messages:
                if message["MessageId"] not in failed:
                    self._delete(message, mapping)
        except Exception:
            log.exception("A delivery of the stand-in failed")
        finally:
            with self._lock:
                self._running -= 1

    def _delete(self, message: Mapping[str, Any], mapping: SourceMapping) -> None:
        """Unless it was received again meanwhile."""
        with contextlib.suppress(self._sqs.exceptions.ReceiptHandleIsInvalid):
            self._sqs.delete_message(QueueUrl=self._url(mapping), ReceiptHandle=message["ReceiptHandle"])


def _failed(result: InvocationResult, mapping: SourceMapping, messages: Sequence[Mapping[str, Any]]) -> set[str]:
    """Message ids. Without ReportBatchItemFailures whatever a function returns counts as success."""
    every = {message["MessageId"] for message in messages}
    if result.is_error:
        return every
    if "ReportBatchItemFailures" not in mapping.responses:
        return set()
    answer = json.loads(result.body or b"null") or {}
    reported = {failure.get("itemIdentifier") for failure in answer.get("batchItemFailures") or ()}
    return every if reported - every else reported & every  # an id that is not there fails the whole batch


def _record(message: Mapping[str, Any], mapping: SourceMapping) -> dict[str, Any]:
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes", {}),
        "messageAttributes": {},
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": mapping.queue_arn,
        "awsRegion": mapping.queue_arn.split(":")[3],
    }
