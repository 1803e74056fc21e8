"""What web processes, workers and commands ask the model host for. Blocks; for any number of threads. Pure."""

import marshal
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path
from typing import Any, TypeVar

from predictions.model_host.contents import Specification, read_ready, read_refused
from predictions.model_host.errors import CallLeft, HostUnavailable, ModelEnded
from predictions.model_host.protocol import (
    Closed,
    Kind,
    Message,
    ProtocolError,
    of_ours,
    packed,
    receive,
    send_with_descriptors,
)  # fmt: skip

# A host that was killed is started again within seconds.
_PATIENCE_SECONDS = 15.0
_PAUSE_SECONDS = 0.05
# For the host's own part, beyond the time of the call.
_MARGIN_SECONDS = 10.0
_HURRY_WITHIN_SECONDS = 0.5

Result = TypeVar("Result")


@dataclass(frozen=True)
class Loaded:
    """`is_new`: this request has loaded it; `size_bytes` is what its process has for itself."""

    seconds: float
    sandbox: tuple[str, ...]
    size_bytes: int
    is_new: bool


class HostClient:
    """The host that listens at `address`. A call that meets a host which ends is repeated with the next one, as long as
    `patience_seconds` have not passed since its begin.
    """

    def __init__(self, address: Path, *, patience_seconds: float = _PATIENCE_SECONDS) -> None:
        self._address, self._patience_seconds = address, patience_seconds
        self._idle: list[tuple[int, socket.socket]] = []

    def load(self, key: str, artifact: int, specification: Specification, *, seconds: float) -> Loaded:
        """Have a model process with the artifact, an open descriptor, under this key; at once if there is one.

        Raises ModelRefused, ModelEnded, HostUnavailable.
        """
        message = Message(Kind.LOAD, {"key": key, "seconds": seconds}, specification.packed())
        answer = self._ask(lambda connection: send_with_descriptors(connection, message, (artifact,)), seconds)
        match answer.kind:
            case Kind.LOADED:
                facts = answer.head
                ready = read_ready(facts["ready"])
                return Loaded(*ready, size_bytes=facts["bytes"], is_new=facts["is_new"])
            case Kind.REFUSED:
                raise read_refused(answer.body)
        raise _error(answer)

    def call(
        self, key: str, body: bytes, *, seconds: float, patience_seconds: float, leave_after: float = inf
    ) -> Message | None:
        """An ANSWER or RAISED of the model process, with the seconds that it ran; None when none is loaded.

        `seconds` is how long the call may run, `patience_seconds` how long it may take together with its waiting for
        others. Raises ModelEnded when it ran for so long, HostUnavailable when it did not, CallLeft when it has not
        ended after `leave_after` seconds.
        """
        head = {"key": key, "seconds": seconds, "patience": patience_seconds}
        data = packed(Message(Kind.CALL, head, body))
        return _answer_of_call(
            self._ask(
                lambda connection: connection.sendall(data), max(seconds, patience_seconds), leave_after=leave_after
            )
        )

    def state(self, *, timeout_seconds: float | None = None) -> dict[str, Any]:
        """The host's process id, and key, process id, state and bytes of each model process. Raises HostUnavailable."""
        data = packed(Message(Kind.STATE))
        answer = self._ask(
            lambda connection: connection.sendall(data), 0, timeout_seconds, margin_seconds=timeout_seconds
        )
        facts: dict[str, Any] = marshal.loads(answer.body)  # noqa: S302 - of this service
        return facts

    def hurry(self, seconds: float) -> None:
        """From now on no call takes longer; what would is given back to its client. Raises HostUnavailable."""
        data = packed(Message(Kind.HURRY, {"seconds": seconds}))
        self._ask(lambda connection: connection.sendall(data), 0, _HURRY_WITHIN_SECONDS, margin_seconds=1.0)

    def forget_all(self) -> None:
        """End all model processes. Raises HostUnavailable."""
        data = packed(Message(Kind.FORGET_ALL))
        self._ask(lambda connection: connection.sendall(data), 0)

    def close(self) -> None:
        """Close the connections that no thread uses at the moment."""
        while self._idle:
            self._idle.pop()[1].close()

    def _ask(
        self,
        send: Callable[[socket.socket], None],
        seconds: float,
        patience_seconds: float | None = None,
        *,
        margin_seconds: float | None = None,
        leave_after: float = inf,
    ) -> Message:
        patience_seconds = self._patience_seconds if patience_seconds is None else patience_seconds
        margin = _MARGIN_SECONDS if margin_seconds is None else margin_seconds
        leave_at = time.monotonic() + leave_after
        give_up_at = min(time.monotonic() + patience_seconds, leave_at)
        while True:
            try:
                connection = self._take() or self._connected(leave_at)
                exchange = _Exchange(connection, send, seconds + margin, leave_at)
                answer = exchange.answer(leave_at)
            except TimeoutError as error:
                raise HostUnavailable("The model host does not answer.") from error
            except (OSError, Closed) as error:
                if time.monotonic() > give_up_at:
                    raise HostUnavailable(
                        f"The model host cannot be reached: {str(error) or 'it has ended'}."
                    ) from error
                time.sleep(_PAUSE_SECONDS)
            except ProtocolError as error:
                raise HostUnavailable(f"The model host answered what is no message: {error}.") from error
            else:
                if answer is None:
                    raise CallLeft(partial(self._end_of, exchange))
                self._idle.append((os.getpid(), exchange.connection))
                return answer

    def _end_of(self, exchange: "_Exchange") -> None:
        """Of a call that was left."""
        try:
            answer = exchange.answer()
        except (OSError, Closed, ProtocolError) as error:
            raise HostUnavailable("The model host does not answer.") from error
        if answer is not None:
            self._idle.append((os.getpid(), exchange.connection))
            _answer_of_call(answer)

    def _take(self) -> socket.socket | None:
        """A connection of this process's own; one that was open when it was forked belongs to its parent."""
        with suppress(IndexError):
            while True:
                pid, connection = self._idle.pop()
                if pid == os.getpid():
                    return connection
                connection.close()
        return None

    def _connected(self, until: float) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(min(_PATIENCE_SECONDS, _seconds_until(until)))
            connection.connect(str(self._address))
        except BaseException:
            connection.close()
            raise
        return connection


class _Exchange:
    """A message that is sent, and its answer to come. Closes the connection unless the whole answer has come."""

    def __init__(
        self, connection: socket.socket, send: Callable[[socket.socket], None], seconds: float, send_until: float
    ) -> None:
        self.connection, self._reader = connection, of_ours()
        self._deadline = time.monotonic() + seconds
        try:
            connection.settimeout(min(seconds, _seconds_until(send_until)))
            send(connection)
        except BaseException:
            connection.close()
            raise

    def answer(self, until: float = inf) -> Message | None:
        """None when it has not come by then; it can be asked for again. Raises TimeoutError, Closed, ProtocolError."""
        try:
            return receive(partial(self._read, min(self._deadline, until)), self._reader)
        except TimeoutError:
            if until < self._deadline:
                return None
            self.connection.close()
            raise
        except BaseException:
            self.connection.close()
            raise

    def _read(self, deadline: float, count: int) -> bytes:
        self.connection.settimeout(_seconds_until(deadline))
        return self.connection.recv(count)


def _seconds_until(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0.001)


def _answer_of_call(answer: Message) -> Message | None:
    if answer.kind in (Kind.ANSWER, Kind.RAISED):
        return answer
    if answer.kind in (Kind.NOT_LOADED, Kind.REFUSED):  # a new process did not load it; `load` tells why
        return None
    raise _error(answer)


def _error(answer: Message) -> BaseException:
    match answer.kind:
        case Kind.ENDED:
            return ModelEnded(answer.head["kind"], answer.head["detail"], is_first=answer.head["is_first"])
        case Kind.FAILED | Kind.BUSY:
            return HostUnavailable(answer.head["detail"])
    return HostUnavailable(f"The model host answered {answer.kind.name}.")
