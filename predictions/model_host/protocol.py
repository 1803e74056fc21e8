"""The messages between clients, the model host, its fork server and the model processes. Pure.

 message   kind (1 byte) · length of the head (4) · length of the body (4) · head · body      little-endian

 client → host      LOAD     head: key, seconds   body: the specification, with the artifact's descriptor (SCM_RIGHTS)
                    CALL     head: key, seconds, patience   body: rows, as `contents` packs them
                    HURRY    head: seconds                                       STATE, FORGET_ALL
 host → client      LOADED, ENDED, BUSY, FAILED   head: facts      NOT_LOADED, HURRY, FORGET_ALL
                    STATE    body: facts, as marshal
                    ANSWER, RAISED   head: seconds that the call ran   body: as it came from the model process
                    REFUSED  body: as it came from the model process
 host → model       LOAD, CALL   body: as it came from the client
 model → host       READY, ANSWER, RAISED, REFUSED   body: JSON; there is no head
 host → fork server FORK     with three descriptors          KILL   head: pid, signal
 fork server → host FORKED   head: pid    FAILED   head: detail    EXITED   head: pid, status

Heads are marshal, and come from processes of ours only. What a model process writes is a stranger's: its kinds, and its
sizes before anything is allocated, are checked by `Reader`, its JSON by the client.
"""

import array
import marshal
import os
import socket
import struct
from collections.abc import Callable, Collection
from enum import IntEnum
from typing import Any, NamedTuple

_HEADER = struct.Struct("<BII")
_DESCRIPTOR_BYTES = array.array("i").itemsize
_READ_BYTES = 2**18
_MOST_DESCRIPTORS = 3

MOST_HEAD_BYTES = 2**16
# 512 rows with a thousand classes each have 20 MB of probabilities.
MOST_ANSWER_BYTES = 2**26
MOST_BODY_BYTES = 2**30
# How it was loaded: seconds, and names of parts of the sandbox. It goes on in the head of a LOADED.
MOST_READY_BYTES = 4096


class Kind(IntEnum):
    LOAD = 1
    CALL = 2
    STATE = 3
    FORGET_ALL = 4
    LOADED = 5
    ENDED = 6
    BUSY = 7
    FAILED = 8
    NOT_LOADED = 9
    ANSWER = 10
    RAISED = 11
    REFUSED = 12
    READY = 13
    FORK = 14
    FORKED = 15
    KILL = 16
    EXITED = 17
    HURRY = 18


FROM_MODEL = frozenset({Kind.READY, Kind.ANSWER, Kind.RAISED, Kind.REFUSED})


class ProtocolError(Exception):
    """The other side wrote what is no message, or one that it may not send."""


class Closed(Exception):
    """The other side has closed the connection, or its process has ended."""


class Message(NamedTuple):
    kind: Kind
    head: Any = None
    body: bytes = b""


def packed(message: Message) -> bytes:
    """The bytes of a message."""
    head = b"" if message.head is None else marshal.dumps(message.head)
    return b"".join((_HEADER.pack(message.kind, len(head), len(message.body)), head, message.body))


class Reader:
    """Bytes as they come → messages. Raises ProtocolError before it would hold more than is allowed."""

    def __init__(
        self, kinds: Collection[Kind] = frozenset(Kind), *, most_head: int = MOST_HEAD_BYTES, most_body: int
    ) -> None:
        self._kinds, self._most_head, self._most_body = kinds, most_head, most_body
        self._bytes = bytearray()
        self._lengths: tuple[Kind, int, int] | None = None

    def feed(self, data: bytes) -> None:
        self._bytes += data

    def next(self) -> Message | None:
        """The next message that is complete."""
        if self._lengths is None:
            if len(self._bytes) < _HEADER.size:
                return None
            self._lengths = self._checked(*_HEADER.unpack_from(self._bytes))
        kind, head_length, body_length = self._lengths
        head_end = _HEADER.size + head_length
        end = head_end + body_length
        if len(self._bytes) < end:
            return None
        head = marshal.loads(self._bytes[_HEADER.size : head_end]) if head_length else None  # noqa: S302 - of ours
        with memoryview(self._bytes) as view:
            body = bytes(view[head_end:end])
        del self._bytes[:end]
        self._lengths = None
        return Message(kind, head, body)

    def _checked(self, kind: int, head_length: int, body_length: int) -> tuple[Kind, int, int]:
        if kind not in self._kinds:
            raise ProtocolError(f"a message of the kind {kind}")
        most_body = MOST_READY_BYTES if kind == Kind.READY else self._most_body
        if head_length > self._most_head or body_length > most_body:
            raise ProtocolError(f"a message of {head_length + body_length} bytes")
        return Kind(kind), head_length, body_length


def of_model() -> Reader:
    """For what a model process writes."""
    return Reader(FROM_MODEL, most_head=0, most_body=MOST_ANSWER_BYTES)


def of_ours() -> Reader:
    """For what clients, the host and the fork server write."""
    return Reader(most_body=MOST_BODY_BYTES)


def receive(read: Callable[[int], bytes], reader: Reader) -> Message:
    """Block until a message is complete. Raises Closed, ProtocolError, and what `read` raises."""
    while True:
        if (message := reader.next()) is not None:
            return message
        data = read(_READ_BYTES)
        if not data:
            raise Closed
        reader.feed(data)


def write_all(descriptor: int, data: bytes) -> None:
    """Write to a blocking descriptor; also in the sandbox, which refuses `send`."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def send_with_descriptors(connection: socket.socket, message: Message, descriptors: Collection[int]) -> None:
    """Send a message whose first byte carries the descriptors. Blocks."""
    data = packed(message)
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
    sent = connection.sendmsg([data], rights)
    connection.sendall(memoryview(data)[sent:])


def receive_with_descriptors(connection: socket.socket) -> tuple[bytes, list[int]]:
    """Bytes, and the descriptors that came with them, which the caller has to close; b"" at the end."""
    space = socket.CMSG_SPACE(_MOST_DESCRIPTORS * _DESCRIPTOR_BYTES)
    data, ancillary, _, _ = connection.recvmsg(_READ_BYTES, space, getattr(socket, "MSG_CMSG_CLOEXEC", 0))
    descriptors = array.array("i")
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors.frombytes(content[: len(content) - len(content) % _DESCRIPTOR_BYTES])
    return data, list(descriptors)
