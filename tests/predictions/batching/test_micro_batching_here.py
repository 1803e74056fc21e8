"""Calls that a lone caller makes itself, in its own thread."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from predictions.batching import micro_batching
from predictions.batching.micro_batching import CallEnded, MicroBatcher
from tests.predictions.batching.callers import PATIENCE, Callers, Machine
from tests.waiting import wait_until


@pytest.fixture
def machine() -> Iterator[Machine]:
    machine = Machine()
    yield machine
    machine.go.set()


@pytest.fixture
def micro_batcher(machine: Machine) -> MicroBatcher[Any]:
    """With a line for `version`, whose thread sleeps."""
    micro_batcher = MicroBatcher[Any](
        machine.call, machine.settle, call_here=machine.call_here, most_waiting=10, most_weight=lambda _key: 100
    )
    assert submit(micro_batcher, "line")
    wait_until(lambda: micro_batcher.seconds_in_call("version") == 0)
    machine.calls.clear()
    machine.settled.clear()
    machine.settlers.clear()
    return micro_batcher


@pytest.fixture
def callers(micro_batcher: MicroBatcher[Any], machine: Machine) -> Callers:
    return Callers(micro_batcher, machine)


def submit(micro_batcher: MicroBatcher[Any], item: Any, seconds: float = PATIENCE) -> bool:
    return micro_batcher.submit(item, key="version", weight=1, timeout_seconds=seconds)


def test_it_calls_and_settles_in_the_thread_of_a_lone_caller(
    machine: Machine, micro_batcher: MicroBatcher[Any]
) -> None:
    with micro_batcher.approach():
        assert submit(micro_batcher, "a")
        assert submit(micro_batcher, "b")

    assert machine.calls == machine.settled == [["a"], ["b"]]
    assert machine.callers_here == [threading.current_thread().name] * 2
    assert micro_batcher._on_the_way == 0


def test_it_makes_one_call_of_what_came_while_a_caller_called(machine: Machine, callers: Callers) -> None:
    machine.hold()
    callers.start("a")
    for item in "bc":
        callers.start(item)
    machine.go.set()

    assert callers.join() == {"a": True, "b": True, "c": True}
    assert machine.calls == [["a"], ["b", "c"]]
    assert machine.callers_here == ["caller a"]


def test_it_stands_in_line_while_another_is_on_the_way(machine: Machine, micro_batcher: MicroBatcher[Any]) -> None:
    has_approached, may_leave = threading.Event(), threading.Event()

    def approach_only() -> None:
        with micro_batcher.approach():
            has_approached.set()
            assert may_leave.wait(PATIENCE)

    thread = threading.Thread(target=approach_only)
    thread.start()
    assert has_approached.wait(PATIENCE)

    assert submit(micro_batcher, "a")
    may_leave.set()
    thread.join(PATIENCE)
    assert machine.callers_here == []
    assert machine.settled == [["a"]]


def test_it_stands_in_line_when_the_call_could_take_longer(machine: Machine) -> None:
    """Such as one that has to load its model first."""
    micro_batcher = MicroBatcher[Any](
        machine.call, machine.settle, call_here=lambda _item, _seconds: False, most_waiting=10, most_weight=lambda _: 1
    )

    with micro_batcher.approach():
        assert submit(micro_batcher, "a")
        assert submit(micro_batcher, "b")

    assert machine.calls == machine.settled == [["a"], ["b"]]
    assert micro_batcher._on_the_way == 0


def test_it_lets_a_caller_go_whose_call_goes_on_and_calls_nobody_meanwhile(
    machine: Machine, micro_batcher: MicroBatcher[Any], callers: Callers
) -> None:
    machine.hold()
    with micro_batcher.approach():
        assert submit(micro_batcher, "impatient", seconds=0.05) is False
        micro_batcher.turn_away()
        callers.start("next")
        assert machine.calls == [["impatient"]]
        assert micro_batcher.seconds_in_call("version") > 0
        machine.go.set()

        assert callers.join() == {"next": True}
    assert machine.settled == [["next"]]
    assert machine.ended_later == [("impatient", "micro-batching")]
    assert micro_batcher._on_the_way == 0
    wait_until(lambda: micro_batcher.seconds_in_call("version") == 0)


@pytest.mark.parametrize(("raised", "met"), [(ValueError("bad"), ValueError), (SystemExit("gone"), CallEnded)])
def test_it_raises_what_the_call_raised(
    machine: Machine, micro_batcher: MicroBatcher[Any], raised: BaseException, met: type[Exception]
) -> None:
    def fail(_: Any) -> None:
        raise raised

    machine.fail = fail
    with pytest.raises(met, match=str(raised)):
        submit(micro_batcher, "a")
    machine.fail = lambda _: None

    assert machine.settled == []
    assert submit(micro_batcher, "b")
    assert len(machine.callers_here) == 2


def test_it_keeps_the_line_of_a_caller_that_calls(
    machine: Machine, micro_batcher: MicroBatcher[Any], callers: Callers, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = micro_batcher._lines["version"]
    monkeypatch.setattr(micro_batching, "_IDLE_SECONDS", 0.01)
    machine.hold()
    callers.start("a")
    with micro_batcher._changed:
        micro_batcher._changed.notify_all()
    threading.Event().wait(0.1)

    assert micro_batcher._lines == {"version": line}
    machine.go.set()
    assert callers.join() == {"a": True}
    with micro_batcher._changed:
        micro_batcher._changed.notify_all()


def test_it_serves_everybody_exactly_once_under_load(machine: Machine) -> None:
    micro_batcher = MicroBatcher[Any](
        machine.call, machine.settle, call_here=machine.call_here, most_waiting=1000, most_weight=lambda _key: 7
    )
    results: list[bool] = []

    def many(caller: int) -> None:
        for number in range(100):
            with micro_batcher.approach():
                options: dict[str, Any] = {"weight": 1, "is_alone": number % 10 == 0}
                results.append(
                    micro_batcher.submit((caller, number), key=number % 2, timeout_seconds=PATIENCE, **options)
                )

    threads = [threading.Thread(target=many, args=(caller,)) for caller in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()

    called = machine.called()
    assert results == [True] * 400
    assert len(called) == len(set(called)) == 400
    assert sorted(item for items in machine.settled for item in items) == sorted(called)
    assert micro_batcher._on_the_way == 0
