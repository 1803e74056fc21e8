"""What each client saw, written down as it happened; at the end it is compared with the database."""

import json
import threading
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.torture.models import BY_NAME

ENDED = {"succeeded", "failed", "canceled", "expired"}


@dataclass
class Request:
    """One POST. `status` is the answer's, 0 while there is none, -1 when the connection broke before it came."""

    serial: int
    model: str
    xs: Sequence[int]
    is_invalid: bool
    status: int = 0
    prediction_id: str = ""
    # The first ended object that a client read, and how it had ended.
    end: str = ""
    end_digest: str = ""
    is_wrong: bool = False
    # Its client waits for the answer.
    waits: bool = False
    # Its client asked to take it back; whether the service agreed.
    asked_to_cancel: bool = False
    is_canceled: bool = False
    asked_at: float = field(default_factory=time.monotonic)
    # When it was known to have ended, or that it was not accepted.
    settled_at: float = 0.0


class Journal:
    """Safe for threads. Violations are collected, not raised: one run shall find all it can."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w")
        self._lock = threading.Lock()
        self._serial = 0
        self.requests: dict[int, Request] = {}
        self.by_id: dict[str, Request] = {}
        self.open: dict[str, Request] = {}
        self.counts: Counter[str] = Counter()
        self.violations: list[str] = []
        self._seen_violations: Counter[str] = Counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def ask(self, model: str, xs: Sequence[int], *, is_invalid: bool = False) -> Request:
        """Before the request is sent."""
        with self._lock:
            self._serial += 1
            request = self.requests[self._serial] = Request(self._serial, model, xs, is_invalid)
            self._write("ask", request, rows=len(xs))
            self.counts["asked"] += 1
        return request

    def answer(self, request: Request, status: int, body: bytes) -> None:
        """What the POST was answered with."""
        told = _object(body)
        with self._lock:
            request.status = status
            if status not in (200, 202):
                request.settled_at = time.monotonic()
            self.counts[_kind_of(status)] += 1
            request.prediction_id = prediction_id = str(told.get("prediction_id", ""))
            self._write("answer", request, status=status, id=prediction_id)
            if status in (200, 202):
                if prediction_id in self.by_id or not prediction_id:
                    self._violation(f"the id {prediction_id!r} was given twice, or none was given")
                self.by_id[prediction_id] = request
                self.open[prediction_id] = request
        if request.is_invalid and status not in (422, 503, 429):
            self.violation(f"invalid rows were answered {status}: {body[:200]!r}")
        if not request.is_invalid and status not in (200, 202, 503, 429):
            self.violation(f"valid rows of {request.model} were answered {status}: {body[:300]!r}")
        if status == 200:
            self.see(request, body)

    def cut(self, request: Request, why: str) -> None:
        with self._lock:
            request.status, request.settled_at = -1, time.monotonic()
            self.counts["unanswered"] += 1
            self._write("cut", request, why=why)

    def see(self, request: Request, body: bytes, *, had_ended: bool = False) -> bool:
        """An object of the prediction was read; whether it has ended. The first end is checked, later ones compared.

        `had_ended` is what was known when it was asked for.
        """
        told = _object(body)
        if told.get("status") not in ENDED:
            if had_ended:
                self.violation(f"{request.prediction_id} had ended, and was seen as {told.get('status')} afterwards")
            return False
        digest = sha256(body).hexdigest()
        with self._lock:
            is_first = not request.end
            if is_first:
                request.end, request.end_digest, request.settled_at = told["status"], digest, time.monotonic()
                self.open.pop(request.prediction_id, None)
                self.counts[f"ended {request.end}"] += 1
                self._write("end", request, status=request.end, digest=digest[:16])
            elif digest != request.end_digest:
                self._violation(f"{request.prediction_id} was answered twice differently: {body[:300]!r}")
        if is_first and (wrong := wrong_end(request, told)):
            request.is_wrong = True
            self.violation(wrong)
        return True

    def recovery_seconds(self, *, began_at: float, over_at: float) -> float:
        """How long after a fault the last of its victims was settled: what had been asked meanwhile or just before its
        end has ended, and nothing else was refused or cut.
        """
        with self._lock:
            since = [each for each in self.requests.values() if each.settled_at > began_at and each.status != 422]
        victims = [each for each in since if each.asked_at < over_at or each.status not in (200, 202)]
        return max([each.settled_at - over_at for each in victims] + [0.0])

    def waited_seconds(self, models: Collection[str], since: float, until: float) -> list[float]:
        """How long clients waited that asked for one row of these models meanwhile, and were answered with it."""
        with self._lock:
            asked = [each for each in self.requests.values() if each.waits and since <= each.asked_at < until]
        return [
            each.settled_at - each.asked_at
            for each in asked
            if each.status == 200 and each.model in models and len(each.xs) == 1
        ]

    def violation(self, text: str) -> None:
        with self._lock:
            self._violation(text)

    def _violation(self, text: str) -> None:
        # The same mistake a thousand times is one line with a number.
        kind = "".join(letter for letter in text[:60] if not letter.isdigit())
        self._seen_violations[kind] += 1
        if self._seen_violations[kind] <= 5:
            self.violations.append(text)
            print(f"  VIOLATION: {text}", flush=True)
        self.counts["violations"] += 1

    def _write(self, what: str, request: Request, **more: Any) -> None:
        line = {"at": round(time.time(), 3), "what": what, "serial": request.serial, "model": request.model, **more}
        self._file.write(json.dumps(line) + "\n")


def wrong_end(request: Request, told: dict[str, Any]) -> str | None:
    """What is wrong with how a prediction ended; None when it is the right answer or a clear and due failure."""
    model, name = BY_NAME[request.model], f"{request.prediction_id} of {request.model}"
    status = told["status"]
    if status == "canceled":
        return None if request.asked_to_cancel else f"{name} was canceled, and no client had asked for that"
    if request.is_canceled:
        return f"{name} had been canceled, and ended as {status}"
    is_told_to = model.ends and min(request.xs) < 0
    if status == "succeeded":
        if is_told_to:
            return f"{name} succeeded, which it cannot"
        if told["result"]["predictions"] != model.expected(request.xs):
            return f"{name} has wrong answers: {str(told['result'])[:200]}"
        return None
    problem = told.get("error") or {}
    slug = str(problem.get("type", "")).rpartition("/")[2]
    if is_told_to and (status, slug) in model.ends and problem.get("detail"):
        return None
    return f"{name} ended as {status} without cause: {str(problem)[:300]}"


def _kind_of(status: int) -> str:
    if status in (200, 202):
        return "accepted"
    return "invalid" if status == 422 else "refused"


def _object(body: bytes) -> dict[str, Any]:
    try:
        told = json.loads(body)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
