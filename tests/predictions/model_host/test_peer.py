"""One connection of the host, which must never wait for the other side."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from predictions.model_host import protocol
from predictions.model_host.peer import Peer
from predictions.model_host.protocol import Kind, Message


def _own_descriptors() -> list[str]:
    return sorted(each.name for each in Path("/dev/fd").iterdir())


Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    own, other = socket.socketpair()
    with own, other:
        yield own, other


def test_it_keeps_what_the_other_side_does_not_take_yet(pair: Pair) -> None:
    own, other = pair
    peer, message = Peer(own, protocol.of_ours()), Message(Kind.CALL, None, b"x" * 2**22)

    peer.send(message)
    peer.send(Message(Kind.STATE))

    assert peer.has_more
    reader = protocol.of_ours()
    other.setblocking(False)
    received: list[Message] = []
    while len(received) < 2:
        peer.write()
        reader.feed(other.recv(2**18))
        received += iter(reader.next, None)
    assert received == [message, Message(Kind.STATE)]
    assert not peer.has_more


def test_it_notices_the_end_when_it_reads(pair: Pair) -> None:
    own, other = pair
    peer = Peer(own, protocol.of_ours())
    other.close()

    peer.send(Message(Kind.STATE))

    assert not peer.has_more
    with pytest.raises(EOFError):
        list(peer.read())


def test_it_reads_nothing_while_nothing_has_come(pair: Pair) -> None:
    assert list(Peer(pair[0], protocol.of_ours()).read()) == []


def test_it_takes_a_descriptor_of_a_client(pair: Pair) -> None:
    own, other = pair
    peer = Peer(own, protocol.of_ours(), may_send_descriptors=True)
    with Path(os.devnull).open("rb") as file:
        protocol.send_with_descriptors(other, Message(Kind.LOAD), (file.fileno(),))

    assert list(peer.read()) == [Message(Kind.LOAD)]
    descriptor = peer.take_descriptor()
    assert descriptor is not None
    os.close(descriptor)
    assert peer.take_descriptor() is None


def test_it_takes_no_descriptor_of_a_model(pair: Pair) -> None:
    own, other = pair
    peer, before = Peer(own, protocol.of_model()), _own_descriptors()
    with Path(os.devnull).open("rb") as file:
        protocol.send_with_descriptors(other, Message(Kind.ANSWER, None, b"{}"), (file.fileno(),) * 3)

    assert list(peer.read()) == [Message(Kind.ANSWER, None, b"{}")]
    assert peer.take_descriptor() is None
    assert _own_descriptors() == before
