"""The requests for predictions of each system, and how to read its answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from benchmark.client import Answer
from benchmark.connection import Request, build
from benchmark.example import Record


class WrongAnswer(Exception):
    """A system answered with another status than it should, or with other predictions than the pipeline's."""


@dataclass(frozen=True)
class Dialect:
    """The address and form of a system's prediction request."""

    one_row: str
    many_rows: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def predict(self, rows: list[Record], subject: int = 0) -> Request:
        """One record is sent alone, several as a list."""
        path, body = (self.one_row, rows[0]) if len(rows) == 1 else (self.many_rows, rows)
        return Request(build("POST", path, orjson.dumps(body), self.headers), subject)


@dataclass(frozen=True)
class Waiting(Dialect):
    """The answer contains the predictions."""

    read: Callable[[Answer], list[str]] = field(kw_only=True)


@dataclass(frozen=True)
class Polling(Dialect):
    """The answer (202) says where the predictions will be."""

    address: Callable[[Answer], str] = field(kw_only=True)
    # The predictions, or None as long as they are not there. Raises WrongAnswer when they never will be.
    read: Callable[[Answer], list[str] | None] = field(kw_only=True)

    def poll(self, answer: Answer) -> Request:
        return Request(build("GET", self.address(answer)), answer.request.subject)


def _object(answer: Answer, status: int) -> dict[str, Any]:
    """The JSON object of an answer with this status. Raises WrongAnswer for any other."""
    if answer.status != status:
        raise WrongAnswer(f"status {answer.status} instead of {status}: {answer.body[:500]!r}")
    try:
        content = orjson.loads(answer.body)
    except orjson.JSONDecodeError as error:
        raise WrongAnswer(f"not JSON: {answer.body[:500]!r}") from error
    if not isinstance(content, dict):
        raise WrongAnswer(f"not a JSON object: {answer.body[:500]!r}")
    return content


def _read_mlserve(answer: Answer) -> list[str]:
    predictions = _poll_mlserve(answer)
    if predictions is None:
        raise WrongAnswer(f"not finished: {answer.body[:500]!r}")
    return predictions


def _poll_mlserve(answer: Answer) -> list[str] | None:
    prediction = _object(answer, 200)
    if prediction.get("status") in ("queued", "running"):
        return None
    if prediction.get("status") != "succeeded":
        raise WrongAnswer(f"not succeeded: {answer.body[:500]!r}")
    predictions: list[str] = prediction["result"]["predictions"]
    return predictions


def _address_of_mlserve(answer: Answer) -> str:
    return f"/api/predict/{_object(answer, 202)['prediction_id']}"


def _read_handwritten(answer: Answer) -> list[str]:
    predictions: list[str] = _object(answer, 200)["predictions"]
    return predictions


def _address_of_queued(answer: Answer) -> str:
    return f"/result/{_object(answer, 202)['task_id']}"


def _poll_queued(answer: Answer) -> list[str] | None:
    task = _object(answer, 200)
    if task.get("status") in ("PENDING", "STARTED", "RETRY"):
        return None
    if task.get("status") != "SUCCESS":
        raise WrongAnswer(f"not succeeded: {answer.body[:500]!r}")
    predictions: list[str] = task["predictions"]
    return predictions


_MLSERVE_PATH = "/api/models/tabular/predict"
MLSERVE_WAITING = Waiting(_MLSERVE_PATH, _MLSERVE_PATH, {"Prefer": "wait=10"}, read=_read_mlserve)
MLSERVE_POLLING = Polling(_MLSERVE_PATH, _MLSERVE_PATH, address=_address_of_mlserve, read=_poll_mlserve)
HANDWRITTEN = Waiting("/predict", "/predict/batch", read=_read_handwritten)
QUEUED = Polling("/predict", "/predict/batch", address=_address_of_queued, read=_poll_queued)
