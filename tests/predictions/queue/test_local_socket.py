"""The local socket between processes: which one is woken, and that no wake-up is lost."""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from django.conf import settings

from predictions.queue.local_socket import LocalWakeUpSocket
from tests.paths import ROOT

PATIENCE_SECONDS = 20

_OTHER_PROCESS = """
import os, sys
from django.conf import settings

settings.configure(DATABASES={"default": {"NAME": sys.argv[1], "HOST": sys.argv[2]}})
from predictions.queue.local_socket import LocalWakeUpSocket

wake_up_socket = LocalWakeUpSocket(sys.argv[3])
"""
_LISTEN = """
print(wake_up_socket.listen(), flush=True)
while wake_up_socket.wait(60):
    print("woken", flush=True)
print("dismissed", flush=True)
sys.stdin.readline()
"""
# The child outlives its parent, with copies of what the parent had opened.
_LISTEN_AND_FORK = """
wake_up_socket.listen()
is_done, tell = os.pipe()
child = os.fork()
if child == 0:
    os.write(tell, b"taken" if not wake_up_socket.listen() else b"free!")
    sys.stdin.readline()
    os._exit(0)
print(os.read(is_done, 5).decode(), flush=True)
wake_up_socket.wait(60)
print("woken", flush=True)
sys.stdin.readline()
"""


class Other:
    """Another process with the same local socket; its standard output is what happened to it."""

    def __init__(self, name: str, code: str) -> None:
        database = settings.DATABASES["default"]
        self._process = subprocess.Popen(
            [sys.executable, "-c", _OTHER_PROCESS + code, database["NAME"], database.get("HOST") or "", name],
            env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": tempfile.gettempdir()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def says(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(PATIENCE_SECONDS)

    def close(self) -> None:
        """Also ends a forked child, which reads the same standard input."""
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Sockets of a test are deleted with its folder. Their paths must be short, which pytest's own folders are not."""
    with tempfile.TemporaryDirectory(prefix="wake_up_socket-") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield


@pytest.fixture
def name() -> str:
    return uuid4().hex


@pytest.fixture
def wake_up_socket(name: str) -> Iterator[LocalWakeUpSocket]:
    wake_up_socket = LocalWakeUpSocket(name)
    yield wake_up_socket
    wake_up_socket.close()


@pytest.fixture
def start(name: str) -> Iterator[Callable[[str], Other]]:
    """`start(code)` runs code in another process, which has `wake_up_socket`."""
    others: list[Other] = []

    def run(code: str) -> Other:
        others.append(Other(name, code))
        return others[-1]

    yield run
    for other in others:
        other.close()


def socket_path() -> Path:
    [path] = [each for each in Path(tempfile.gettempdir()).glob("mlserve-*") if each.suffix != ".lock"]
    return path


def test_it_sends_without_an_error_where_no_process_listens(wake_up_socket: LocalWakeUpSocket) -> None:
    assert not wake_up_socket.send()
    wake_up_socket.dismiss()


def test_it_is_woken_by_another_object_of_the_same_name(wake_up_socket: LocalWakeUpSocket, name: str) -> None:
    assert wake_up_socket.listen()

    assert LocalWakeUpSocket(name).send()
    assert not LocalWakeUpSocket("another").send()
    assert wake_up_socket.wait(PATIENCE_SECONDS)


def test_it_tells_whether_a_process_listens_without_waking_it(wake_up_socket: LocalWakeUpSocket, name: str) -> None:
    assert not LocalWakeUpSocket(name).has_listener()

    wake_up_socket.listen()

    assert LocalWakeUpSocket(name).has_listener()
    assert not wake_up_socket.wait(0.05)


def test_it_keeps_a_wake_up_that_came_before_the_wait(wake_up_socket: LocalWakeUpSocket) -> None:
    wake_up_socket.listen()
    wake_up_socket.send()

    started = time.monotonic()
    assert wake_up_socket.wait(PATIENCE_SECONDS)
    assert time.monotonic() - started < 1


def test_it_ends_a_wait_that_has_begun(wake_up_socket: LocalWakeUpSocket, name: str) -> None:
    wake_up_socket.listen()
    threading.Timer(0.05, LocalWakeUpSocket(name).send).start()

    assert wake_up_socket.wait(PATIENCE_SECONDS)


def test_it_makes_one_wake_up_of_many(wake_up_socket: LocalWakeUpSocket) -> None:
    wake_up_socket.listen()
    for _ in range(5):
        wake_up_socket.send()

    assert wake_up_socket.wait(PATIENCE_SECONDS)
    assert not wake_up_socket.wait(0.05)


def test_it_never_waits_to_send_however_many_wake_ups_are_unread(wake_up_socket: LocalWakeUpSocket) -> None:
    wake_up_socket.listen()

    started = time.monotonic()
    assert all(wake_up_socket.send() for _ in range(5000))  # far more than a socket holds
    assert time.monotonic() - started < PATIENCE_SECONDS
    assert wake_up_socket.wait(PATIENCE_SECONDS)
    assert not wake_up_socket.wait(0.05)


def test_it_says_when_the_time_ran_out(wake_up_socket: LocalWakeUpSocket) -> None:
    wake_up_socket.listen()

    started = time.monotonic()
    assert not wake_up_socket.wait(0.05)
    assert time.monotonic() - started >= 0.05


def test_it_lets_no_process_wait_that_does_not_listen(wake_up_socket: LocalWakeUpSocket) -> None:
    with pytest.raises(RuntimeError, match="listen"):
        wake_up_socket.wait(1)


@pytest.mark.parametrize("sent", [0, 1, 3])
def test_it_ends_the_wait_of_a_dismissed_listener(wake_up_socket: LocalWakeUpSocket, name: str, sent: int) -> None:
    """Also after wake-ups that it has not read: the listener has to look a last time anyway."""
    wake_up_socket.listen()
    for _ in range(sent):
        wake_up_socket.send()
    LocalWakeUpSocket(name).dismiss()

    started = time.monotonic()
    assert not wake_up_socket.wait(PATIENCE_SECONDS)
    assert time.monotonic() - started < 1


def test_it_can_be_listened_to_again_after_a_dismissal(wake_up_socket: LocalWakeUpSocket) -> None:
    wake_up_socket.listen()
    wake_up_socket.dismiss()
    wake_up_socket.wait(PATIENCE_SECONDS)

    wake_up_socket.send()
    assert wake_up_socket.wait(PATIENCE_SECONDS)


def test_it_has_one_listener_at_a_time(wake_up_socket: LocalWakeUpSocket, name: str) -> None:
    second = LocalWakeUpSocket(name)
    assert wake_up_socket.listen()
    assert wake_up_socket.listen()  # still
    assert not second.listen()

    wake_up_socket.send()
    assert wake_up_socket.wait(PATIENCE_SECONDS)  # the refused one has taken no wake-up from it
    wake_up_socket.close()
    assert not second.send()
    assert second.listen()
    second.close()


def test_it_wakes_another_process(wake_up_socket: LocalWakeUpSocket, start: Callable[[str], Other]) -> None:
    other = start(_LISTEN)
    assert other.says() == "True"

    assert not wake_up_socket.listen()
    assert wake_up_socket.send()
    assert other.says() == "woken"
    wake_up_socket.dismiss()
    assert other.says() == "dismissed"


def test_it_is_refused_to_another_process_while_this_one_listens(
    wake_up_socket: LocalWakeUpSocket, start: Callable[[str], Other]
) -> None:
    wake_up_socket.listen()

    assert start("print(wake_up_socket.listen(), wake_up_socket.send())").says() == "False True"
    assert wake_up_socket.wait(PATIENCE_SECONDS)


def test_it_finds_out_that_the_listener_was_killed(
    wake_up_socket: LocalWakeUpSocket, start: Callable[[str], Other]
) -> None:
    other = start(_LISTEN)
    assert other.says() == "True"
    other.kill()

    assert socket_path().exists()  # no process was left to remove it
    assert not wake_up_socket.send()
    assert wake_up_socket.listen()
    assert wake_up_socket.send()


def test_it_stays_with_the_parent_of_a_forked_process(
    wake_up_socket: LocalWakeUpSocket, start: Callable[[str], Other]
) -> None:
    other = start(_LISTEN_AND_FORK)
    assert other.says() == "taken"  # the child found the wake_up_socket to be its parent's

    assert wake_up_socket.send()
    assert other.says() == "woken"
    assert not wake_up_socket.listen()


def test_it_is_not_kept_taken_by_a_child_that_outlives_its_parent(
    wake_up_socket: LocalWakeUpSocket, start: Callable[[str], Other]
) -> None:
    other = start(_LISTEN_AND_FORK)
    assert other.says() == "taken"
    other.kill()

    assert not wake_up_socket.send()
    assert wake_up_socket.listen()


def test_it_takes_the_place_of_a_plain_file(wake_up_socket: LocalWakeUpSocket) -> None:
    wake_up_socket.listen()
    path = socket_path()
    wake_up_socket.close()
    path.write_text("notes of a user")

    assert not wake_up_socket.send()
    assert wake_up_socket.listen()
    assert wake_up_socket.send()


def test_it_leaves_a_folder_in_its_place_alone(wake_up_socket: LocalWakeUpSocket) -> None:
    wake_up_socket.listen()
    path = socket_path()
    wake_up_socket.close()
    path.mkdir()

    assert not wake_up_socket.send()
    assert not wake_up_socket.listen()
    assert not wake_up_socket.listen()  # and does not hold on to the lock
    path.rmdir()
    assert wake_up_socket.listen()


def test_it_does_not_trust_the_socket_of_another_user(
    wake_up_socket: LocalWakeUpSocket, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner would be told of each submission, and would keep it from the workers."""
    wake_up_socket.listen()
    sender = LocalWakeUpSocket(name)
    monkeypatch.setattr(os, "getuid", lambda: socket_path().stat().st_uid + 1)

    assert not sender.send()
    assert not wake_up_socket.wait(0.05)


def test_it_is_released_with_the_last_reference(name: str) -> None:
    wake_up_socket = LocalWakeUpSocket(name)
    wake_up_socket.listen()
    del wake_up_socket

    successor = LocalWakeUpSocket(name)
    assert not successor.send()
    assert successor.listen()


def test_it_loses_no_wake_up_between_listeners(wake_up_socket: LocalWakeUpSocket, name: str) -> None:
    """A sender that finds a listener wakes it, or sent before the listener's `close` ended, after which it looks."""
    pending, seen = [0], [0]
    stop = threading.Event()

    def listen() -> None:
        while not stop.is_set():
            if wake_up_socket.listen():
                wake_up_socket.wait(0.001)
                wake_up_socket.close()
                seen[0] = pending[0]

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    sender, taken = LocalWakeUpSocket(name), 0
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        pending[0] += 1
        if sender.send():
            taken += 1
            patience = time.monotonic() + PATIENCE_SECONDS
            while seen[0] < pending[0]:
                assert time.monotonic() < patience, "a wake-up was taken, and no listener looked"
                time.sleep(0.0002)
    stop.set()
    listener.join(PATIENCE_SECONDS)
    assert taken
