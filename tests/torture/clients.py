"""Constant load: clients that ask in every way, others that poll until all has ended, one that reads again."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import httpx

from tests.torture.journal import Journal, Request
from tests.torture.models import HEALTHY, XS, Model

_TIMEOUT = httpx.Timeout(60, connect=10)
_PAUSE_SECONDS = (0.01, 0.12)
# One in so many async requests is taken back.
_CANCEL_ONE_IN = 25
_LARGE_ROWS = 400


class Load:
    """Threads; `stop_asking`, then wait until nothing is open, then `stop`."""

    def __init__(self, url: str, journal: Journal, *, seed: int, clients: int) -> None:
        self._url, self._journal = url, journal
        self._asks, self._runs = threading.Event(), threading.Event()
        self._asks.set()
        self._runs.set()
        jobs: list[Callable[[httpx.Client, random.Random], None]] = [self._ask] * clients
        jobs += [self._poll, self._poll, self._read_again]
        self._threads = [
            threading.Thread(target=self._work, args=[job, random.Random(f"{seed} {number}")], daemon=True)
            for number, job in enumerate(jobs)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop_asking(self) -> None:
        self._asks.clear()

    def stop(self) -> None:
        self._asks.clear()
        self._runs.clear()
        for thread in self._threads:
            thread.join(90)

    def _work(self, job: Callable[[httpx.Client, random.Random], None], chance: random.Random) -> None:
        with httpx.Client(base_url=self._url, timeout=_TIMEOUT) as client:
            while self._runs.is_set() and (self._asks.is_set() or job != self._ask):
                job(client, chance)

    def _ask(self, client: httpx.Client, chance: random.Random) -> None:
        model = chance.choice(HEALTHY)
        rows = chance.choice((1, 1, 1, 1, 2, 40, _LARGE_ROWS))
        xs = [chance.randrange(XS) for _ in range(rows)]
        if chance.random() < 0.05:
            submit(client, self._journal, model, xs, is_invalid=True)
        else:
            wait_seconds = chance.choice((0, 0, 5, 20))
            request = submit(client, self._journal, model, xs, wait_seconds=wait_seconds)
            if request.status == 202 and chance.randrange(_CANCEL_ONE_IN) == 0:
                cancel(client, request)
        time.sleep(chance.uniform(*_PAUSE_SECONDS))

    def _poll(self, client: httpx.Client, chance: random.Random) -> None:
        waiting = list(self._journal.open.values())
        for request in chance.sample(waiting, min(50, len(waiting))):
            look(client, self._journal, request)
        time.sleep(0.05)

    def _read_again(self, client: httpx.Client, chance: random.Random) -> None:
        """What has ended is read over and over; it must never change."""
        known = list(self._journal.by_id.values())
        for request in chance.sample(known, min(20, len(known))):
            look(client, self._journal, request)
        time.sleep(0.2)


def submit(
    client: httpx.Client,
    journal: Journal,
    model: Model,
    xs: Sequence[int],
    *,
    wait_seconds: int = 0,
    is_invalid: bool = False,
) -> Request:
    """One POST; one row is sent as a record, several as a list."""
    request = journal.ask(model.name, xs, is_invalid=is_invalid)
    request.waits = wait_seconds > 0
    rows: list[dict[str, Any]] = list(model.rows(xs, request.serial))
    if is_invalid:
        rows[-1]["x"] = "not a number"
    headers = {"Prefer": f"wait={wait_seconds}"} if wait_seconds else {}
    body: Any = rows[0] if len(rows) == 1 else rows
    try:
        answer = client.post(f"/api/models/{model.name}/predict", json=body, headers=headers)
    except httpx.TransportError as error:
        journal.cut(request, type(error).__name__)
        return request
    journal.answer(request, answer.status_code, answer.content)
    if answer.status_code in (429, 503):
        time.sleep(0.3)
    return request


def cancel(client: httpx.Client, request: Request) -> None:
    request.asked_to_cancel = True
    try:
        answer = client.post(f"/api/predict/{request.prediction_id}/cancel")
    except httpx.TransportError:
        return
    request.is_canceled = answer.status_code == 200


def look(client: httpx.Client, journal: Journal, request: Request) -> bool:
    """One GET of what was accepted; whether it has ended."""
    had_ended = bool(request.end)  # another thread may learn that while this answer is on its way
    try:
        answer = client.get(f"/api/predict/{request.prediction_id}")
    except httpx.TransportError:
        return False
    if answer.status_code == 200:
        return journal.see(request, answer.content, had_ended=had_ended)
    if answer.status_code not in (503, 429):
        journal.violation(
            f"{request.prediction_id} was accepted; asked for it: {answer.status_code} {answer.text[:200]}"
        )
    return False
