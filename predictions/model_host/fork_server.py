"""The clean parent of all model processes: it has imported pandas and scikit-learn, and knows nothing of the service.

The host forks it before it meets a client, so that no row of any request is in its memory. Artifacts are read in model
processes only: a descriptor goes from the client through the host and this process. It has no thread.
"""

import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from mlserve.processes.children import CAN_FORK
from mlserve.processes.naming import name_this_process
from mlserve.processes.orphans import end_with_parent
from predictions.model_host import model_process
from predictions.model_host.protocol import Kind, Message, of_ours, packed, receive_with_descriptors

# Of a FORK: the model's end of its connection, the artifact, and where a crash is written.
_DESCRIPTORS = 3


def run(connection: socket.socket) -> NoReturn:
    """Fork a model process for each FORK, and tell of each that ended, until the host ends."""
    end_with_parent(by=signal.SIGKILL)
    name_this_process("fork server")
    wake_reader, wake_writer = socket.socketpair()
    for each in (wake_reader, wake_writer):
        each.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_writer.fileno(), warn_on_full_buffer=False)
    server = _ForkServer(connection)
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    poll.register(wake_reader, select.POLLIN)
    while True:
        ready = {descriptor for descriptor, _ in poll.poll()}
        if wake_reader.fileno() in ready:
            wake_reader.recv(4096)
            server.report_ended()
        if connection.fileno() in ready and not server.read():
            os._exit(0)


class _ForkServer:
    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._reader = of_ours()
        self._descriptors: list[int] = []
        self._children: set[int] = set()

    def read(self) -> bool:
        """Do what the host asks for; False when it has ended."""
        data, descriptors = receive_with_descriptors(self._connection)
        self._descriptors += descriptors
        self._reader.feed(data)
        while (message := self._reader.next()) is not None:
            if message.kind is Kind.FORK:
                own, self._descriptors = self._descriptors[:_DESCRIPTORS], self._descriptors[_DESCRIPTORS:]
                self._fork(own)
            elif message.kind is Kind.KILL and message.head["pid"] in self._children:
                os.kill(message.head["pid"], message.head["signal"])
        return bool(data)

    def report_ended(self) -> None:
        """Only what is not waited for yet is killed, so that no signal meets another process of the same number."""
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                self._children.discard(ended[0])
                self._send(Message(Kind.EXITED, {"pid": ended[0], "status": os.waitstatus_to_exitcode(ended[1])}))

    def _fork(self, descriptors: Sequence[int]) -> None:
        try:
            pid = os.fork()
        except OSError as error:  # for instance for lack of memory, which may pass
            self._send(Message(Kind.FAILED, {"detail": f"No process can be started: {error.strerror}."}))
        else:
            if pid == 0:
                _become_model(descriptors)
            self._children.add(pid)
            self._send(Message(Kind.FORKED, {"pid": pid}))
        finally:
            for each in descriptors:
                os.close(each)

    def _send(self, message: Message) -> None:
        self._connection.sendall(packed(message))


def _become_model(descriptors: Sequence[int]) -> NoReturn:
    """In the child. It never returns into the loop of the fork server."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        nothing = os.open(os.devnull, os.O_RDWR)
        for standard in range(3):
            os.dup2(nothing, standard)
        if not CAN_FORK:  # libraries that were used before a fork do not work after it
            for each in descriptors:
                os.set_inheritable(each, True)
            os.execv(sys.executable, [*sys.orig_argv[:4], "--model", *map(str, descriptors)])  # noqa: S606
        os.setsid()
        name_this_process("model")
        end_with_parent(by=signal.SIGKILL)
        connection, artifact, dump = descriptors
        model_process.run(connection, artifact, dump)
        status = 0
    except BaseException:  # noqa: BLE001 - it ends here, whatever it was
        with suppress(BaseException):
            os.write(descriptors[2], traceback.format_exc(chain=False).encode()[-2000:])
    finally:
        os._exit(status)
