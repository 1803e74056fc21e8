"""A TCP address before a server, which can refuse, reset or hang as a network does."""

import contextlib
import socket
import struct
import threading
from typing import Literal

Mode = Literal["pass", "refuse", "reset", "hang"]
# Closing sends RST instead of FIN.
_NO_LINGER = struct.pack("ii", 1, 0)


class Front:
    """Passes connections on to a port of this machine, or to a Unix socket at the path `target`.

    A new `mode` also counts for the connections that are open.
    """

    def __init__(self, target: int | str) -> None:
        self._family = socket.AF_UNIX if isinstance(target, str) else socket.AF_INET
        self._target = target if isinstance(target, str) else ("127.0.0.1", target)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._passes = threading.Event()
        self.mode: Mode = "pass"
        self.set("pass")
        threading.Thread(target=self._accept, name="front", daemon=True).start()

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    def set(self, mode: Mode) -> None:
        self.mode = mode
        if mode == "hang":
            self._passes.clear()
            return
        self._passes.set()
        if mode != "pass":
            self._cut(with_reset=mode == "reset")

    def close(self) -> None:
        self.set("refuse")
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # ends the accept of the other thread
        self._listener.close()

    def _cut(self, *, with_reset: bool) -> None:
        with self._lock:
            found, self._open = self._open, set()
        for each in found:
            with contextlib.suppress(OSError):
                if with_reset:
                    each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(self._family) as server, contextlib.suppress(OSError):
            self._passes.wait()
            if self.mode != "pass":
                if self.mode == "reset":
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
                return
            server.connect(self._target)
            with self._lock:
                self._open |= {client, server}
            back = threading.Thread(target=self._copy, args=[server, client], daemon=True)
            back.start()
            self._copy(client, server)
            back.join()
            with self._lock:
                self._open -= {client, server}

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._passes.wait()
                target.sendall(data)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
