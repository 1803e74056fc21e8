"""A real host with several versions and several callers."""

import os
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from predictions.model_host.errors import HostUnavailable, ModelEnded
from predictions.model_host.protocol import Kind, Message, packed
from tests.meanwhile import at_once
from tests.predictions.model_host.running import RunningHost, Version, packed_acts
from tests.waiting import wait_until

_CALLERS = 6
# A process takes a moment longer than that to die.
_SHORT_SECONDS = 0.7
# How long a further process may be idle, and how often an idle host looks at that.
_SHRINK_SECONDS, _LOOK_SECONDS = 30, 5


def test_it_loads_once_for_all_that_ask_at_the_same_time(host: RunningHost) -> None:
    version = host.new()

    loaded = at_once(*[version.load] * _CALLERS)

    assert sorted(each.is_new for each in loaded) == [False] * (_CALLERS - 1) + [True]
    assert len(version.processes()) == 1
    assert not version.load().is_new


def test_it_tells_one_of_all_that_wait_for_a_load_that_it_is_the_first(host: RunningHost) -> None:
    version = host.bad_when_loaded("crash")

    def load() -> bool:
        with pytest.raises(ModelEnded) as ended:
            version.load()
        return ended.value.is_first

    assert sorted(at_once(*[load] * _CALLERS))[-1]
    assert version.processes() == []


def test_it_knows_no_version_that_nobody_loaded(host: RunningHost) -> None:
    assert host.new().ask("") is None


def test_it_answers_calls_that_only_waited_by_a_new_process(host: RunningHost) -> None:
    """Exactly the call in it is told."""
    version = host.loaded()

    def ask(act: str) -> str:
        try:
            return str(version.ask(act, seconds=_SHORT_SECONDS))
        except ModelEnded as ended:
            return ended.kind

    with ThreadPoolExecutor(_CALLERS) as threads:
        bad = threads.submit(ask, "keep the interpreter")
        wait_until(lambda: version.processes()[0]["state"] == "busy")
        others = [threads.submit(ask, "") for _ in range(_CALLERS - 1)]
        assert bad.result() == "hung"
        assert {each.result() for each in others} == {"{'predictions': [0.0]}"}


def test_it_gives_each_of_many_bad_calls_its_own_end(host: RunningHost) -> None:
    version = host.loaded()

    def crash() -> tuple[str, bool]:
        try:
            while version.ask("crash") is None:
                version.load()
        except ModelEnded as ended:
            return ended.kind, ended.is_first
        return "", False

    assert set(at_once(*[crash] * 3)) == {("crashed", True)}


def test_it_says_that_it_is_busy_to_who_waited_for_too_long(host: RunningHost) -> None:
    version = host.loaded()
    with ThreadPoolExecutor(2) as threads:
        bad = [threads.submit(version.ask, "sleep", seconds=3) for _ in range(2)]
        wait_until(lambda: [each["state"] for each in version.processes()] == ["busy", "busy"])
        with pytest.raises(HostUnavailable, match="Other calls"):
            version.ask("", patience=0.3)
        for each in bad:
            with suppress(ModelEnded):
                each.result()


def test_it_starts_a_second_process_where_one_is_always_busy(host: RunningHost) -> None:
    version = host.loaded()

    with ThreadPoolExecutor(2) as threads:
        started = time.monotonic()
        assert list(threads.map(version.ask, ["nap"] * 6)) == [{"predictions": [0.0]}] * 6
        seconds = time.monotonic() - started

    assert len(version.processes()) == 2
    assert seconds < 6 * 0.3


@pytest.mark.long
def test_it_ends_a_second_process_that_is_idle(host: RunningHost) -> None:
    version = host.loaded()
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(version.ask, ["nap"] * 6))

    wait_until(lambda: len(version.processes()) == 1, seconds=_SHRINK_SECONDS + _LOOK_SECONDS + 5)
    assert version.ask("") == {"predictions": [0.0]}


def test_it_ends_what_was_used_least_recently_where_memory_is_short(small_host: RunningHost) -> None:
    """The one that was used last stays, whatever it takes."""
    first, second = small_host.loaded(), small_host.loaded()

    small_host.wait_for_processes(1)
    assert first.ask("") is None
    assert second.ask("") == {"predictions": [0.0]}
    first.load()
    small_host.wait_for_processes(1)
    assert second.ask("") is None


def test_it_ends_no_process_amid_a_call_for_memory(small_host: RunningHost) -> None:
    busy = small_host.loaded()
    with ThreadPoolExecutor(1) as thread:
        answer = thread.submit(busy.ask, *["nap"] * 4)
        wait_until(lambda: busy.processes()[0]["state"] == "busy")
        small_host.loaded()
        small_host.loaded()
        assert answer.result() == {"predictions": [0.0, 2.0, 4.0, 6.0]}


def test_it_serves_others_before_a_process_that_takes_long(host: RunningHost) -> None:
    version = host.loaded()
    pid = version.processes()[0]["pid"]
    with ThreadPoolExecutor(1) as thread:
        answer = thread.submit(version.ask, "keep the interpreter", seconds=20)
        wait_until(lambda: os.getpriority(os.PRIO_PROCESS, pid) > os.getpriority(os.PRIO_PROCESS, 0))
        version.end()
        with pytest.raises(ModelEnded):
            answer.result()


def test_it_blames_no_version_for_a_call_that_waited_for_others(small_host: RunningHost) -> None:
    version = small_host.loaded()
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(version.ask, *["nap"] * 5)
        wait_until(lambda: version.processes()[0]["state"] == "busy")
        with pytest.raises(HostUnavailable, match="Other calls of the model"):
            version.ask(*["nap"] * 3, seconds=1.6, patience=1.6)
        assert first.result() is not None


def test_it_says_how_long_a_call_ran(host: RunningHost) -> None:
    version = host.loaded()

    answer = host.client.call(version.key, packed_acts("nap"), seconds=9, patience_seconds=9)

    assert answer is not None
    assert 0.3 <= answer.head["seconds"] < 9


def test_it_gives_a_process_its_priority_again_when_it_has_answered(host: RunningHost) -> None:
    version = host.loaded()
    pid, usual = version.processes()[0]["pid"], os.getpriority(os.PRIO_PROCESS, 0)
    with ThreadPoolExecutor(1) as thread:
        answer = thread.submit(version.ask, *["nap"] * 5)
        wait_until(lambda: os.getpriority(os.PRIO_PROCESS, pid) > usual)
        assert answer.result() is not None

    assert (os.getpriority(os.PRIO_PROCESS, pid) == usual) is (os.geteuid() == 0)


def test_it_drops_the_waiting_call_of_a_client_that_went_away(host: RunningHost) -> None:
    version = host.loaded()
    pid, head = version.processes()[0]["pid"], {"key": version.key, "seconds": 10.0, "patience": 10.0}
    with ThreadPoolExecutor(1) as thread:
        answer = thread.submit(version.ask, "nap")
        wait_until(lambda: version.processes()[0]["state"] == "busy")
        with socket.socket(socket.AF_UNIX) as gone:
            gone.connect(str(host.address))
            gone.sendall(packed(Message(Kind.CALL, head, packed_acts("crash"))))
        assert answer.result() == {"predictions": [0.0]}

    assert version.ask("count") == {"predictions": [2.0]}
    assert [each["pid"] for each in version.processes()] == [pid]


def test_it_drops_the_answer_for_a_client_that_went_away(host: RunningHost) -> None:
    version = host.loaded()
    descriptors, head = host.descriptors(), {"key": version.key, "seconds": 10.0, "patience": 10.0}
    with socket.socket(socket.AF_UNIX) as gone:
        gone.connect(str(host.address))
        gone.sendall(packed(Message(Kind.CALL, head, packed_acts("nap"))))
        wait_until(lambda: version.processes()[0]["state"] == "busy")

    wait_until(lambda: host.descriptors() <= descriptors)
    wait_until(lambda: version.processes()[0]["state"] == "idle")
    assert version.ask("count") == {"predictions": [2.0]}


def test_it_closes_a_connection_that_carries_no_message(host: RunningHost) -> None:
    before = host.pid
    for data in (b"\xff" * 100, packed(Message(Kind.FORKED, {"pid": 1})), packed(Message(Kind.LOAD, {"key": "a"}))):
        with socket.socket(socket.AF_UNIX) as stranger:
            stranger.settimeout(10)
            stranger.connect(str(host.address))
            stranger.sendall(data)
            with suppress(ConnectionResetError):
                assert stranger.recv(1) == b""

    assert host.pid == before


def test_it_forgets_all(host: RunningHost) -> None:
    versions = [host.loaded() for _ in range(3)]

    host.client.forget_all()

    assert [each.ask("") for each in versions] == [None] * 3
    host.wait_for_processes(0)


def test_it_says_what_all_processes_do_however_many_there_are(host: RunningHost) -> None:
    host.client.forget_all()
    keys = [Version(host.client, f"{number:>05} " + "k" * 5000, host.artifact) for number in range(15)]
    for each in keys:
        each.load()

    facts = host.client.state()["processes"]

    assert sorted(each["key"] for each in facts) == [each.key for each in keys]
    assert {each["state"] for each in facts} == {"idle"}
    assert min(each["bytes"] for each in facts) > 0
    host.client.forget_all()


def test_it_leaves_nothing_behind(host: RunningHost) -> None:
    host.client.forget_all()
    host.wait_for_processes(0)
    descriptors = host.descriptors()

    for act in ("", "crash", "raise", "exit", "write garbage"):
        with suppress(Exception, ModelEnded):
            host.loaded().ask(act)
    with suppress(ModelEnded):
        host.bad_when_loaded("exit").load()
    host.client.forget_all()

    host.wait_for_processes(0)
    wait_until(lambda: host.descriptors() <= descriptors)


def test_it_gives_back_what_takes_longer_when_the_service_stops(own_host: RunningHost) -> None:
    """Calls and loads, without blame; what is quick is answered."""
    version, slow = own_host.loaded(), own_host.bad_when_loaded("sleep")

    def said(work: Callable[[], object]) -> str:
        try:
            return str(work())
        except HostUnavailable as error:
            return str(error)

    with ThreadPoolExecutor(4) as threads:
        sleeping = [threads.submit(said, lambda: version.ask("sleep", seconds=60))]
        wait_until(lambda: version.processes()[0]["state"] == "busy")
        sleeping.append(threads.submit(said, lambda: slow.load(seconds=60)))
        wait_until(slow.processes)
        quick = threads.submit(said, lambda: version.ask("", seconds=60))
        started = time.monotonic()
        own_host.client.hurry(1.0)

        assert {each.result() for each in sleeping} == {"The service is stopping."}
        assert quick.result() == "{'predictions': [0.0]}"
    assert time.monotonic() - started < 6
