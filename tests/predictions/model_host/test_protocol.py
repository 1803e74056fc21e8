"""Messages, also those that a stranger writes."""

import os
import socket
import struct
from pathlib import Path

import pytest

from predictions.model_host import protocol
from predictions.model_host.protocol import Closed, Kind, Message, ProtocolError, Reader, packed, receive

_HEADER = struct.Struct("<BII")


def header(kind: int, *, head: int = 0, body: int = 0) -> bytes:
    return _HEADER.pack(kind, head, body)


def read(reader: Reader, data: bytes) -> list[Message]:
    reader.feed(data)
    return list(iter(reader.next, None))


@pytest.mark.parametrize(
    "message",
    [
        Message(Kind.FORGET_ALL),
        Message(Kind.CALL, {"key": "a", "seconds": 1.5}, b"\x00rows"),
        Message(Kind.LOADED, {"ready": b"{}", "bytes": 2**40, "is_new": True}),
        Message(Kind.ANSWER, None, b"x" * 2**20),
    ],
)
def test_it_reads_what_it_packs(message: Message) -> None:
    assert read(protocol.of_ours(), packed(message)) == [message]


def test_it_reads_messages_that_come_in_parts_and_together() -> None:
    messages = [Message(Kind.CALL, {"key": str(number)}, b"body" * number) for number in range(5)]
    data = b"".join(map(packed, messages))

    for size in (1, 7, len(data)):
        reader = protocol.of_ours()
        parts = [data[start : start + size] for start in range(0, len(data), size)]
        assert [message for part in parts for message in read(reader, part)] == messages


def test_it_waits_for_the_last_byte() -> None:
    reader, data = protocol.of_ours(), packed(Message(Kind.ANSWER, None, b"body"))

    assert read(reader, data[:-1]) == []
    assert read(reader, data[-1:]) == [Message(Kind.ANSWER, None, b"body")]


@pytest.mark.parametrize("kind", [0, 255, Kind.LOAD, Kind.KILL, Kind.FORKED, Kind.STATE])
def test_it_takes_no_other_kind_from_a_model(kind: int) -> None:
    with pytest.raises(ProtocolError, match="kind"):
        read(protocol.of_model(), header(kind))


@pytest.mark.parametrize(
    "announced",
    [
        header(Kind.ANSWER, body=protocol.MOST_ANSWER_BYTES + 1),
        header(Kind.RAISED, body=2**32 - 1),
        header(Kind.READY, body=protocol.MOST_READY_BYTES + 1),
        header(Kind.ANSWER, head=1),  # heads are marshal, which is not read from strangers
    ],
)
def test_it_refuses_by_the_header_what_a_model_announces(announced: bytes) -> None:
    """Before any of it has come."""
    with pytest.raises(ProtocolError, match="bytes"):
        read(protocol.of_model(), announced)


def test_it_refuses_what_is_too_large_of_ours() -> None:
    for announced in (header(Kind.CALL, body=2**30 + 1), header(Kind.CALL, head=2**16 + 1)):
        with pytest.raises(ProtocolError, match="bytes"):
            read(protocol.of_ours(), announced)


def test_it_ends_with_the_connection() -> None:
    own, other = socket.socketpair()
    with own:
        other.sendall(packed(Message(Kind.STATE)) + header(Kind.ANSWER, body=10))
        other.close()
        reader = protocol.of_ours()

        assert receive(own.recv, reader) == Message(Kind.STATE)
        with pytest.raises(Closed):
            receive(own.recv, reader)


def test_it_sends_descriptors_with_the_first_byte() -> None:
    own, other = socket.socketpair()
    with own, other, Path(os.devnull).open("rb") as file:
        protocol.send_with_descriptors(own, Message(Kind.LOAD, {"key": "a"}, b"x" * 1000), (file.fileno(),))
        data, (descriptor,) = protocol.receive_with_descriptors(other)
        assert read(protocol.of_ours(), data) == [Message(Kind.LOAD, {"key": "a"}, b"x" * 1000)]
        assert os.path.sameopenfile(descriptor, file.fileno())
        assert not os.get_inheritable(descriptor)
        os.close(descriptor)


def test_it_writes_all_that_a_pipe_takes_in_parts() -> None:
    reader, writer = os.pipe()
    data = b"x" * 2**20
    if (pid := os.fork()) == 0:
        protocol.write_all(writer, data)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        assert file.read() == data
    assert os.waitpid(pid, 0)[1] == 0
