"""What became of a process, in words."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from predictions.model_host.endings import CLOSED, explained, hung
from predictions.model_host.memory import times_out_of_memory
from predictions.model_host.peer import Peer
from predictions.model_host.pool import Model, ModelProcess, State
from predictions.model_host.protocol import of_ours

_MANY = 2**62


@pytest.fixture
def ended() -> Iterator[Callable[..., ModelProcess]]:
    """`ended("text", …)`: a process that has written so much, with facts of its own."""
    own, other = socket.socketpair()
    reader, writer = os.pipe()

    def make(text: str = "", *, out_of_memory_before: int = _MANY, **facts: Any) -> ModelProcess:
        os.set_blocking(reader, False)
        os.write(writer, text.encode())
        model = Model("a", b"", artifact=-1, load_seconds=10)
        return ModelProcess(model, Peer(own, of_ours()), reader, 0.0, out_of_memory_before, **facts)

    with own, other:
        yield make
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (0, "exited", "ended itself in a call (status 0)."),
        (3, "exited", "ended itself in a call (status 3)."),
        (-signal.SIGSEGV, "crashed", "crashed in a call (SIGSEGV)."),
        (-signal.SIGABRT, "crashed", "crashed in a call (SIGABRT)."),
        (-40, "crashed", "crashed in a call (signal 40)."),
        (-signal.SIGKILL, "killed", "ended without a trace in a call"),
        (-signal.SIGTERM, "killed", "ended without a trace in a call"),
    ],
)
def test_it_explains_a_status(ended: Callable[..., ModelProcess], status: int, kind: str, words: str) -> None:
    ending = explained(ended(), status, State.BUSY)

    assert ending.kind == kind
    assert words in ending.detail


def test_it_says_that_it_was_being_loaded(ended: Callable[..., ModelProcess]) -> None:
    assert "while it was loaded" in explained(ended(), 3, State.LOADING).detail


def test_it_knows_a_kill_of_the_system_for_want_of_memory(ended: Callable[..., ModelProcess]) -> None:
    process = ended(out_of_memory_before=times_out_of_memory() - 1)

    assert explained(process, -signal.SIGKILL, State.BUSY).kind == "out_of_memory"
    assert explained(process, -signal.SIGSEGV, State.BUSY).kind == "crashed"


def test_it_adds_what_a_crash_has_written(ended: Callable[..., ModelProcess]) -> None:
    detail = explained(ended("Fatal Python error\n\xff"), -signal.SIGSEGV, State.BUSY).detail

    assert detail.endswith("(SIGSEGV).\nFatal Python error\n\xff")


def test_it_reads_a_bounded_part_of_what_a_model_wrote(ended: Callable[..., ModelProcess]) -> None:
    assert len(explained(ended("x" * 50_000), -signal.SIGSEGV, State.BUSY).detail) < 2_200


@pytest.mark.parametrize("status", [-signal.SIGKILL, -signal.SIGABRT])
def test_it_gives_the_reason_for_which_the_host_ended_it(ended: Callable[..., ModelProcess], status: int) -> None:
    ending = explained(ended("a stack", verdict=hung(1.5, State.BUSY)), status, State.BUSY)

    assert (ending.kind, ending.detail) == ("hung", "It took longer than 1.5 s for a call.\na stack")


def test_it_believes_the_status_of_one_that_ended_before_the_host_ended_it(
    ended: Callable[..., ModelProcess],
) -> None:
    assert explained(ended(verdict=CLOSED), -signal.SIGSEGV, State.BUSY).kind == "crashed"
    assert "SIGSEGV" in explained(ended(verdict=CLOSED), -signal.SIGSEGV, State.BUSY).detail
