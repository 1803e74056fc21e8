"""Whether this process was asked to stop, for what takes long in another of its threads."""

import signal
import socket
import sys
import threading
import time

_asked_at: list[float] = []


def notice_stop() -> None:
    """Note the first SIGTERM or SIGINT that a Python handler gets. Call it in the main thread.

    It works beside the handlers of the web server, which are installed later and know no others.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)

    def watch() -> None:
        with reader, writer:  # both stay open for as long as the process runs
            while number := reader.recv(1):
                if number[0] in (signal.SIGTERM, signal.SIGINT):
                    _asked_at.append(time.monotonic())

    threading.Thread(target=watch, name="notice-stop", daemon=True).start()


def seconds_since_stop() -> float:
    """0 until the process was asked to stop."""
    return time.monotonic() - _asked_at[0] if _asked_at else 0.0


def exit_when_stopped() -> None:
    """Let SIGTERM and the end of the terminal end this process by SystemExit, which deletes what it made for a moment.

    For commands that are not servers. Call it in the main thread.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # under nohup, the end of the terminal is ignored
            signal.signal(number, _end)


def _end(number: int, _frame: object) -> None:
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)
