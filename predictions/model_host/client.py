"""What web processes, workers and commands ask the model host for. Blocks; for any number of threads. Pure."""

import marshal
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from predictions.model_host.contents import Specification, read_ready, read_refused
from predictions.model_host.errors import HostUnavailable, ModelEnded
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

    def call(self, key: str, body: bytes, *, seconds: float, patience_seconds: float) -> Message | None:
        """An ANSWER or RAISED of the model process, with the seconds that it ran; None when none is loaded.

        `seconds` is how long the call may run, `patience_seconds` how long it may take together with its waiting for
        others. Raises ModelEnded when it ran for so long, HostUnavailable when it did not.
        """
        head = {"key": key, "seconds": seconds, "patience": patience_seconds}
        data = packed(Message(Kind.CALL, head, body))
        answer = self._ask(lambda connection: connection.sendall(data), max(seconds, patience_seconds))
        if answer.kind in (Kind.ANSWER, Kind.RAISED):
            return answer
        if answer.kind in (Kind.NOT_LOADED, Kind.REFUSED):  # a new process did not load it; `load` tells why
            return None
        raise _error(answer)

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
    ) -> Message:
        patience_seconds = self._patience_seconds if patience_seconds is None else patience_seconds
        margin = _MARGIN_SECONDS if margin_seconds is None else margin_seconds
        give_up_at = time.monotonic() + patience_seconds
        while True:
            connection = self._take()
            try:
                if connection is None:
                    connection = self._connected()
                answer = _exchange(connection, send, seconds + margin)
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
                self._idle.append((os.getpid(), connection))
                return answer

    def _take(self) -> socket.socket | None:
        """A connection of this process's own; one that was open when it was forked belongs to its parent."""
        with suppress(IndexError):
            while True:
                pid, connection = self._idle.pop()
                if pid == os.getpid():
                    return connection
                connection.close()
        return None

    def _connected(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(_PATIENCE_SECONDS)
            connection.connect(str(self._address))
        except BaseException:
            connection.close()
            raise
        return connection


def _exchange(connection: socket.socket, send: Callable[[socket.socket], None], seconds: float) -> Message:
    """Closes the connection unless the whole answer has come."""
    try:
        deadline = time.monotonic() + seconds
        connection.settimeout(seconds)
        send(connection)
        return receive(partial(_read, connection, deadline), of_ours())
    except BaseException:
        connection.close()
        raise


def _read(connection: socket.socket, deadline: float, count: int) -> bytes:
    connection.settimeout(max(deadline - time.monotonic(), 0.001))
    return connection.recv(count)


def _error(answer: Message) -> BaseException:
    match answer.kind:
        case Kind.ENDED:
            return ModelEnded(answer.head["kind"], answer.head["detail"], is_first=answer.head["is_first"])
        case Kind.FAILED | Kind.BUSY:
            return HostUnavailable(answer.head["detail"])
    return HostUnavailable(f"The model host answered {answer.kind.name}.")
