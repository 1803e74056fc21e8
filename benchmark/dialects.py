"""How to ask each system for predictions, and how to read its answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import orjson

from benchmark.client import Answer, Request, build
from benchmark.tabular import Record


class WrongAnswer(Exception):
    """A system answered with another status than it should, or with other predictions than the pipeline's."""


@dataclass(frozen=True)
class Dialect:
    """Where and how a system is asked to predict."""

    one_row: str
    many_rows: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def predict(self, rows: list[Record], subject: int = 0) -> Request:
        """One record is sent alone, several as a list."""
        path, body = (self.one_row, rows[0]) if len(rows) == 1 else (self.many_rows, rows)
        return Request(build("POST", path, orjson.dumps(body), self.headers), subject)


@dataclass(frozen=True)
class Waiting(Dialect):
    """The answer holds the predictions."""

    read: Callable[[Answer], list[str]] = field(kw_only=True)


@dataclass(frozen=True)
class Polling(Dialect):
    """The answer (202) says where the predictions will be."""

    address: Callable[[Answer], str] = field(kw_only=True)
    # The predictions, or None as long as they are not there. Raises WrongAnswer when they never will be.
    read: Callable[[Answer], list[str] | None] = field(kw_only=True)

    def poll(self, answer: Answer) -> Request:
        require_status(answer, 202)
        return Request(build("GET", self.address(answer)), answer.request.subject)


def require_status(answer: Answer, status: int) -> None:
    if answer.status != status:
        raise WrongAnswer(f"status {answer.status} instead of {status}: {answer.body[:500]!r}")


def _read_mlserve(answer: Answer) -> list[str]:
    """Predictions of a prediction that has ended; every answer of mlserve's is stored before it is given."""
    predictions = _poll_mlserve(answer)
    if predictions is None:
        raise WrongAnswer(f"not finished: {answer.body[:500]!r}")
    return predictions


def _poll_mlserve(answer: Answer) -> list[str] | None:
    require_status(answer, 200)
    prediction = orjson.loads(answer.body)
    if prediction["status"] in ("queued", "running"):
        return None
    if prediction["status"] != "succeeded":
        raise WrongAnswer(f"{prediction['status']}: {answer.body[:500]!r}")
    predictions: list[str] = prediction["result"]["predictions"]
    return predictions


def _address_of_mlserve(answer: Answer) -> str:
    return f"/api/predict/{orjson.loads(answer.body)['prediction_id']}"


def _read_handwritten(answer: Answer) -> list[str]:
    require_status(answer, 200)
    predictions: list[str] = orjson.loads(answer.body)["predictions"]
    return predictions


def _address_of_queued(answer: Answer) -> str:
    return f"/result/{orjson.loads(answer.body)['task_id']}"


def _poll_queued(answer: Answer) -> list[str] | None:
    require_status(answer, 200)
    task = orjson.loads(answer.body)
    if task["status"] in ("PENDING", "STARTED", "RETRY"):
        return None
    if task["status"] != "SUCCESS":
        raise WrongAnswer(f"{task['status']}: {answer.body[:500]!r}")
    predictions: list[str] = task["predictions"]
    return predictions


_MLSERVE_PATH = "/api/models/tabular/predict"
MLSERVE_WAITING = Waiting(_MLSERVE_PATH, _MLSERVE_PATH, {"Prefer": "wait=10"}, read=_read_mlserve)
MLSERVE_POLLING = Polling(_MLSERVE_PATH, _MLSERVE_PATH, address=_address_of_mlserve, read=_poll_mlserve)
HANDWRITTEN = Waiting("/predict", "/predict/batch", read=_read_handwritten)
QUEUED = Polling("/predict", "/predict/batch", address=_address_of_queued, read=_poll_queued)
