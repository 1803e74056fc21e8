"""One connection of the host: messages in and out, without ever waiting. Pure."""

import os
import socket
from collections import deque
from collections.abc import Iterator

from predictions.model_host.protocol import Message, Reader, packed, receive_with_descriptors

_READ_BYTES = 2**18


class Peer:
    """A client, or a model process. `has_more` tells whether it waits to be written to."""

    def __init__(self, connection: socket.socket, reader: Reader, *, may_send_descriptors: bool = False) -> None:
        connection.setblocking(False)
        self.connection, self._reader, self._may_send_descriptors = connection, reader, may_send_descriptors
        self._unsent: deque[memoryview] = deque()
        self.descriptors: list[int] = []

    @property
    def has_more(self) -> bool:
        return bool(self._unsent)

    def send(self, message: Message) -> None:
        """At once as far as the system takes it; the rest at the next `write`. What cannot be sent is noticed when it
        is read from.
        """
        data = packed(message)
        if not self._unsent:
            try:
                sent = self.connection.send(data)
            except OSError:  # `write` looks what it was
                sent = 0
            if sent == len(data):
                return
            data = data[sent:]
        self._unsent.append(memoryview(data))
        self.write()

    def write(self) -> None:
        try:
            while self._unsent:
                sent = self.connection.send(self._unsent[0])
                if sent == len(self._unsent[0]):
                    self._unsent.popleft()
                else:
                    self._unsent[0] = self._unsent[0][sent:]
        except BlockingIOError:
            pass
        except OSError:
            self._unsent.clear()

    def read(self) -> Iterator[Message]:
        """What has come completely. Raises ProtocolError, and EOFError at the end."""
        try:
            data, descriptors = self._receive()
        except BlockingIOError:
            return
        except OSError as error:
            raise EOFError from error
        self.descriptors += descriptors
        if not data:
            raise EOFError
        self._reader.feed(data)
        while (message := self._reader.next()) is not None:
            yield message

    def _receive(self) -> tuple[bytes, list[int]]:
        """Descriptors of who may send none do not reach this process: it could be made to hold all that it may."""
        if self._may_send_descriptors:
            return receive_with_descriptors(self.connection)
        return self.connection.recv(_READ_BYTES), []

    def take_descriptor(self) -> int | None:
        """The one that came first."""
        return self.descriptors.pop(0) if self.descriptors else None

    def close(self) -> None:
        self.connection.close()
        while self.descriptors:
            os.close(self.descriptors.pop())
