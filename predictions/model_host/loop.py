"""The event loop of the host: which connection has something to read, and which takes more."""

import selectors
import socket
from collections.abc import Callable

from predictions.model_host.peer import Peer
from predictions.model_host.protocol import Message

_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Loop:
    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def step(self, timeout_seconds: float) -> None:
        """Serve what is ready; wait for it as long as nothing is."""
        for key, events in self._selector.select(timeout_seconds):
            if self._selector.get_map().get(key.fd) is not key:
                continue  # the last event closed it
            if not isinstance(key.data, tuple):
                key.data()
                continue
            peer, read = key.data
            if events & _WRITE:
                peer.write()
                self._expect(peer)
            if events & _READ:
                read(peer)

    def call_when_readable(self, source: socket.socket | int, function: Callable[[], object]) -> None:
        self._selector.register(source, _READ, function)

    def watch(self, peer: Peer, read: Callable[[Peer], None]) -> None:
        self._selector.register(peer.connection, _READ, (peer, read))

    def unwatch(self, peer: Peer) -> None:
        self._selector.unregister(peer.connection)

    def send(self, peer: Peer, message: Message) -> None:
        """Nothing where the peer is gone."""
        if peer.connection.fileno() >= 0:
            had_more = peer.has_more
            peer.send(message)
            if had_more or peer.has_more:
                self._expect(peer)

    def close(self, peer: Peer) -> None:
        if peer.connection.fileno() >= 0:
            self.unwatch(peer)
            peer.close()

    def _expect(self, peer: Peer) -> None:
        key = self._selector.get_map().get(peer.connection.fileno())
        events = _READ | _WRITE if peer.has_more else _READ
        if key is not None and key.events != events:
            self._selector.modify(peer.connection, events, key.data)
