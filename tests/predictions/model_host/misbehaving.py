"""A model that does to its process what a row says, and then answers twice the row's `x`.

It is pickled by this name, so a host that loads it must trust this module.
"""

import ctypes
import json
import os
import re
import signal
import stat
import struct
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin

from predictions.model_host.protocol import Kind

_HEADER = struct.Struct("<BII")
_kept: list[Any] = []


def _connection() -> int:
    """Of this process, to the host: the only socket that it has."""
    return next(each for each in range(3, 256) if _is_socket(each))


def _is_socket(descriptor: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(descriptor).st_mode)
    except OSError:
        return False


def _write(kind: int, body: bytes = b"", *, length: int | None = None) -> None:
    os.write(_connection(), _HEADER.pack(kind, 0, len(body) if length is None else length) + body)


def _sleep() -> None:
    time.sleep(3600)


def _nap() -> None:
    time.sleep(0.3)


def _keep_interpreter() -> None:
    re.match(r"(a+)+$", "a" * 40 + "!")


def _ignore_abort() -> None:
    signal.signal(signal.SIGABRT, signal.SIG_IGN)
    time.sleep(3600)


def _raise() -> None:
    raise ValueError("bad row \ud800")


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


def _raise_unspeakable() -> None:
    raise Unspeakable


def _interrupt() -> None:
    raise KeyboardInterrupt


def _recurse() -> None:
    _recurse()


def _print() -> None:
    for _ in range(100):
        sys.stdout.write("x" * 2**20)
        os.write(2, b"x" * 2**20)


def _leak() -> None:
    """More than a process may grow by."""
    _kept.append(bytearray(b"\x01") * (300 * 2**20))


def _want_memory() -> None:
    _kept.append(bytearray(2**40))


def _change_state() -> None:
    json.dumps = None  # type: ignore[assignment]
    np.float64 = None  # type: ignore[assignment, misc]
    os.environ["PATH"] = "/nowhere"


def _open_files() -> None:
    _kept.extend(os.open("/dev/null", os.O_RDONLY) for _ in range(2000))


def _start_threads() -> None:
    for _ in range(200):
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()


def _fork() -> None:
    if os.fork() == 0:
        time.sleep(3600)


def _close_connection() -> None:
    os.close(_connection())
    time.sleep(3600)


def _write_garbage() -> None:
    os.write(_connection(), b"\xff" * 2**16)
    time.sleep(3600)


def _announce_gigabytes() -> None:
    _write(Kind.ANSWER, length=2**31)
    time.sleep(3600)


def _answer_in_part() -> None:
    _write(Kind.ANSWER, b'{"predictions": [', length=1000)
    time.sleep(3600)


def _speak_later() -> None:
    """While nobody asks for anything."""
    signal.signal(signal.SIGALRM, lambda *_: _write(Kind.ANSWER, b"{}"))
    signal.setitimer(signal.ITIMER_REAL, 0.2)


def _crash_later() -> None:
    signal.signal(signal.SIGALRM, lambda *_: ctypes.string_at(0))
    signal.setitimer(signal.ITIMER_REAL, 0.2)


ACTS: dict[str, Callable[[], object]] = {
    "sleep": _sleep,
    "nap": _nap,
    "keep the interpreter": _keep_interpreter,
    "ignore the signal": _ignore_abort,
    "raise": _raise,
    "unspeakable": _raise_unspeakable,
    "exit": lambda: os._exit(3),
    "quit": lambda: sys.exit(3),
    "crash": lambda: ctypes.string_at(0),
    "interrupt": _interrupt,
    "recurse": _recurse,
    "print": _print,
    "leak": _leak,
    "want memory": _want_memory,
    "change state": _change_state,
    "change the folder": lambda: os.chdir("/"),
    "open files": _open_files,
    "start threads": _start_threads,
    "fork": _fork,
    "close descriptors": lambda: os.closerange(3, 256),
    "close the connection": _close_connection,
    "signal the parent": lambda: os.kill(os.getppid(), signal.SIGTERM),
    "signal the group": lambda: os.killpg(0, signal.SIGKILL),
    "kill itself": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "write garbage": _write_garbage,
    "announce gigabytes": _announce_gigabytes,
    "answer in part": _answer_in_part,
    "answer no JSON": lambda: _write(Kind.ANSWER, b"\x80\x04N."),
    "say it is ready": lambda: _write(Kind.READY, b"{}"),
    "speak later": _speak_later,
    "crash later": _crash_later,
}
# What it gives instead of one answer for each row.
ANSWERS: dict[str, Callable[[int], Any]] = {
    "too few": lambda count: np.zeros(count - 1),
    "too many": lambda count: np.zeros(count + 3),
    "nan": lambda count: np.full(count, np.nan),
    "inf": lambda count: np.full(count, np.inf),
    "objects": lambda count: [object()] * count,
    "huge": lambda count: np.array(["y" * 2**24] * count, dtype=object),
}


class Misbehaving(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """`when_loaded` is what it does already when it is unpickled. It counts its calls, and answers that to `count`."""

    def __init__(self, when_loaded: str = "") -> None:
        self.when_loaded = when_loaded

    def fit(self, _x: pd.DataFrame, _y: Any = None) -> Self:
        self.calls_ = 0
        return self

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if self.when_loaded:
            ACTS[self.when_loaded]()

    def predict(self, x: pd.DataFrame) -> Any:
        self.calls_ += 1
        asked = [act for act in x["act"] if act]
        for act in asked:
            if act in ANSWERS:
                return ANSWERS[act](len(x))
            if act == "count":
                return np.full(len(x), float(self.calls_))
            ACTS[act]()
        return np.asarray(x["x"], dtype=float) * 2
