"""What callers of the host see when it ends, stands still, or answers what is no answer."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from mlserve.processes.temporary_folders import temporary_folder
from predictions.model_host import client as client_module
from predictions.model_host.client import HostClient
from predictions.model_host.errors import HostUnavailable
from predictions.model_host.protocol import Kind, Message, of_ours, packed, receive
from predictions.model_host.start import SOCKET, Options, end_host, listen_at, start_host
from tests.paths import ROOT
from tests.predictions.model_host.running import RunningHost, Version, children_of
from tests.waiting import wait_until

_OPTIONS = Options(ROOT, 2**32)


@pytest.fixture
def address() -> Iterator[Path]:
    with temporary_folder("models") as folder:
        yield folder / SOCKET


@contextmanager
def answering(address: Path, *answers: bytes | None) -> Iterator[list[Message]]:
    """A host that gives these answers, one for each connection; None: it closes it. What it was asked."""
    asked: list[Message] = []

    def answer(listener: socket.socket) -> None:
        for each in answers:
            connection, _ = listener.accept()
            with connection:
                asked.append(receive(connection.recv, of_ours()))
                if each is not None:
                    connection.sendall(each)
                    connection.recv(1)

    with listen_at(address) as listener:
        thread = threading.Thread(target=answer, args=(listener,), daemon=True)
        thread.start()
        yield asked
    thread.join(10)


def test_it_asks_the_next_host_when_one_ends_meanwhile(address: Path, host: RunningHost) -> None:
    """A keeper starts it again, with the same listener; callers only wait a little longer."""
    with listen_at(address) as listener:
        client, running = HostClient(address), start_host(listener, _OPTIONS)
        version = Version(client, "a", host.artifact)
        version.load()
        with ThreadPoolExecutor(1) as thread:
            answer = thread.submit(version.ask, "nap", "nap", "nap")
            wait_until(lambda: version.processes()[0]["state"] == "busy")
            before = version.processes()[0]["pid"]
            end_host(running)
            running = start_host(listener, _OPTIONS)

            assert answer.result() is None  # the next one has not loaded it yet
        wait_until(lambda: not Path(f"/proc/{before}").exists(), "the end of the processes of the first one")
        version.load()
        assert version.ask("") == {"predictions": [0.0]}
        client.close()
        end_host(running)


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGSEGV])
def test_it_gives_up_when_no_host_comes(own_host: RunningHost, kill: int) -> None:
    """The host cannot do without its fork server."""
    client = HostClient(own_host.address, patience_seconds=0.5)
    version = Version(client, "a", own_host.artifact)
    version.load()
    os.kill(own_host.fork_server(), kill)

    wait_until(lambda: not own_host.is_running)
    with pytest.raises(HostUnavailable, match="cannot be reached"):
        version.ask("")
    client.close()


def test_it_has_no_host_at_an_address_where_none_listens(address: Path) -> None:
    with pytest.raises(HostUnavailable, match="cannot be reached"):
        HostClient(address).state(timeout_seconds=0.2)


def test_it_waits_no_longer_than_the_call_may_take(own_host: RunningHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_MARGIN_SECONDS", 0.5)
    version = own_host.loaded()
    os.kill(own_host.pid, signal.SIGSTOP)

    started = time.monotonic()
    with pytest.raises(HostUnavailable, match="does not answer"):
        version.ask("", seconds=0.5, patience=0.5)

    assert 0.9 < time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"\xff" * 100, "no message"),
        (packed(Message(Kind.FORKED, {"pid": 1})), "answered FORKED"),
        (packed(Message(Kind.BUSY, {"detail": "Too much to do."})), "Too much to do."),
        (packed(Message(Kind.FAILED, {"detail": "No process."})), "No process."),
    ],
)
def test_it_tells_what_the_host_answered(address: Path, answer: bytes, words: str) -> None:
    with (
        answering(address, answer),
        closing(HostClient(address)) as client,
        pytest.raises(HostUnavailable, match=words),
    ):
        client.call("a", b"", seconds=1, patience_seconds=1)


def test_it_asks_again_on_another_connection_when_one_is_closed(address: Path) -> None:
    answer = packed(Message(Kind.ANSWER, None, b"{}"))
    with answering(address, None, None, answer) as asked, closing(HostClient(address)) as client:
        assert client.call("a", b"rows", seconds=1, patience_seconds=1) == Message(Kind.ANSWER, None, b"{}")

    assert [each.body for each in asked] == [b"rows"] * 3


def test_it_takes_a_refusal_to_load_for_not_loaded(address: Path) -> None:
    """Whoever loads it is told why."""
    with answering(address, packed(Message(Kind.REFUSED, None, b"{}"))), closing(HostClient(address)) as client:
        assert client.call("a", b"", seconds=1, patience_seconds=1) is None


def test_it_uses_a_connection_again(host: RunningHost) -> None:
    version = host.loaded()
    version.ask("")
    before = host.descriptors()

    for _ in range(5):
        version.ask("")

    assert host.descriptors() == before


def test_it_shares_no_connection_with_a_forked_process(host: RunningHost) -> None:
    version = host.loaded()
    reader, writer = os.pipe()
    if (pid := os.fork()) == 0:
        status = 1
        try:
            status = int([version.ask("", "") for _ in range(20)] != [{"predictions": [0.0, 2.0]}] * 20)
            os.read(reader, 1)
        finally:
            os._exit(status)

    assert [version.ask("") for _ in range(20)] == [{"predictions": [0.0]}] * 20
    os.write(writer, b"x")
    assert os.waitpid(pid, 0)[1] == 0
    assert version.ask("") == {"predictions": [0.0]}
    os.close(reader)
    os.close(writer)


def test_it_leaves_no_process_when_who_started_the_host_is_killed(host: RunningHost) -> None:
    code = (
        "import os, sys; from pathlib import Path; from tests.predictions.model_host.running import *;"
        "running = RunningHost(Path(sys.argv[1])); running.loaded();"
        "print(running.pid, running.fork_server(), *running.model_processes(), flush=True); sys.stdin.read()"
    )
    folder = host.artifact.parent / "another"
    folder.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout is not None
        pids = [int(each) for each in owner.stdout.readline().split()]
        assert len(pids) == 3
        owner.kill()

    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "their end")


def test_it_keeps_nothing_of_the_environment_of_who_started_it(host: RunningHost) -> None:
    for pid in (host.pid, host.fork_server(), *children_of(host.fork_server())):
        assert b"SECRET_KEY" not in Path(f"/proc/{pid}/environ").read_bytes()
