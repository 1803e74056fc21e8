"""An HTTP client that costs little: one thread, one event loop over keep-alive sockets, requests built beforehand.

A client of the usual kind needs more time for a request than the servers under test, and would measure itself.
"""

import gc
import heapq
import selectors
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from benchmark.connection import BadAnswer, Connection, Request

# Of several processes at one listening socket, the first to wake would accept all connections that arrive together, and
# the others would idle for the whole measurement.
_BETWEEN_CONNECTIONS_SECONDS = 0.004


@dataclass(frozen=True, slots=True)
class Answer:
    """Times are those of time.perf_counter_ns()."""

    request: Request
    status: int
    body: bytes
    sent_ns: int
    received_ns: int

    @property
    def took_ns(self) -> int:
        return self.received_ns - self.sent_ns


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A request to send because of an answer, not before the pause is over."""

    request: Request
    pause_ns: int = 0


React = Callable[[Answer], FollowUp | None]


class Client:
    """Connections to one server, opened on entering, which raises BadAnswer where no server listens.

    `run` may be called repeatedly.
    """

    def __init__(self, port: int, *, connections: int, timeout_seconds: float = 60) -> None:
        self._address = ("127.0.0.1", port)
        self._count = connections
        self._timeout_seconds = timeout_seconds
        self._selector = selectors.DefaultSelector()
        self._idle: list[Connection] = []
        self._busy = 0

    def __enter__(self) -> Self:
        for _ in range(self._count):
            self._open()
            time.sleep(_BETWEEN_CONNECTIONS_SECONDS)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self._close()

    def _open(self) -> None:
        try:
            connection = Connection(self._address)
        except OSError as error:
            self._close()
            raise BadAnswer(f"No server answers at port {self._address[1]}: {error}.") from error
        self._selector.register(connection.socket, selectors.EVENT_READ, connection)
        self._idle.append(connection)

    def _close(self) -> None:
        for key in list(self._selector.get_map().values()):
            key.data.socket.close()
        self._selector.close()

    def run(self, requests: Iterable[Request], react: React = lambda _: None) -> list[Answer]:
        """Send each request as soon as a connection is free; the answers in the order of their arrival.

        Each connection is a caller who does one thing at a time: what `react` returns for an answer is sent when
        its pause is over, and until then the caller begins nothing new.
        Raises BadAnswer, also when nothing comes for the client's timeout.
        """
        answers: list[Answer] = []
        schedule = _Schedule(requests)
        was_collecting = gc.isenabled()
        gc.disable()  # a collection would be counted as the server's time
        try:
            self._open_closed_again()
            while self._send_what_is_due(schedule):
                for answer in self._receive(schedule.seconds_until_due() if self._idle else None):
                    answers.append(answer)
                    if follow_up := react(answer):
                        schedule.later(follow_up, answer.received_ns)
        finally:
            if was_collecting:
                gc.enable()
        return answers

    def _send_what_is_due(self, schedule: "_Schedule") -> bool:
        """Whether anything is left to wait for."""
        while self._idle and (request := schedule.next_due(idle=len(self._idle))):
            connection = self._idle.pop()
            self._busy += 1
            if not connection.send(request):
                self._selector.modify(connection.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, connection)
        return bool(self._busy) or schedule.seconds_until_due() is not None

    def _receive(self, pause_seconds: float | None) -> Iterator[Answer]:
        """What has arrived, after at most `pause_seconds`."""
        events = self._selector.select(self._timeout_seconds if pause_seconds is None else pause_seconds)
        if not events and pause_seconds is None:
            raise BadAnswer(f"{self._busy} requests had no answer within {self._timeout_seconds:g} s.")
        for key, mask in events:
            connection: Connection = key.data
            if mask & selectors.EVENT_WRITE and connection.send_rest():
                self._selector.modify(connection.socket, selectors.EVENT_READ, connection)
            if not mask & selectors.EVENT_READ:
                continue
            if connection in self._idle:
                self._replace(connection)
            elif (body := connection.receive()) is not None:
                self._busy -= 1
                self._idle.append(connection)
                yield Answer(connection.request, connection.status, body, connection.sent_ns, time.perf_counter_ns())

    def _open_closed_again(self) -> None:
        """Servers close a connection on which nothing has happened for some seconds."""
        for key, _ in self._selector.select(0):
            self._replace(key.data)

    def _replace(self, connection: Connection) -> None:
        self._selector.unregister(connection.socket)
        connection.socket.close()
        self._idle.remove(connection)
        self._open()


class _Schedule:
    """The requests to send: the follow-ups that are due, then new ones."""

    def __init__(self, requests: Iterable[Request]) -> None:
        self._new = iter(requests)
        self._later: list[tuple[int, int, Request]] = []
        self._count = 0

    def later(self, follow_up: FollowUp, answered_ns: int) -> None:
        self._count += 1  # follow-ups that are due at the same time keep their order
        heapq.heappush(self._later, (answered_ns + follow_up.pause_ns, self._count, follow_up.request))

    def next_due(self, *, idle: int) -> Request | None:
        """`idle` connections are free, some of them only because their caller pauses before a follow-up."""
        if self._later and self._later[0][0] <= time.perf_counter_ns():
            return heapq.heappop(self._later)[2]
        return next(self._new, None) if idle > len(self._later) else None

    def seconds_until_due(self) -> float | None:
        """None when nothing waits for its time."""
        return max(0.0, (self._later[0][0] - time.perf_counter_ns()) / 1e9) if self._later else None
