"""Calls that are shared by the callers that came meanwhile: threads and events, no models."""

import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from predictions.batching import micro_batching
from predictions.batching.micro_batching import CallEnded, MicroBatcher, Overfull
from tests.predictions.batching.callers import PATIENCE, Callers, Machine
from tests.waiting import wait_until


@pytest.fixture
def machine() -> Iterator[Machine]:
    machine = Machine()
    yield machine
    machine.go.set()


@pytest.fixture
def micro_batcher(machine: Machine) -> MicroBatcher[Any]:
    return MicroBatcher(machine.call, machine.settle, most_waiting=10, most_weight=lambda _key: 100)


@pytest.fixture
def callers(micro_batcher: MicroBatcher[Any], machine: Machine) -> Callers:
    return Callers(micro_batcher, machine)


def occupy(machine: Machine, callers: Callers, item: Any = "first") -> None:
    """A call is running, and waits for `go`."""
    machine.hold()
    callers.start(item)
    assert machine.is_called.wait(PATIENCE)


def line_with_last_call_of(micro_batcher: MicroBatcher[Any], seconds: float) -> Any:
    """The line of `version`, as if its last call had taken so long."""
    with micro_batcher._changed:
        line = micro_batcher._line_of("version")
        line.last_call_seconds = seconds
    return line


def test_it_calls_for_a_lone_caller_at_once(machine: Machine, micro_batcher: MicroBatcher[Any]) -> None:
    assert micro_batcher.submit("a", key="version", weight=1, timeout_seconds=PATIENCE)

    assert machine.calls == machine.settled == [["a"]]
    assert machine.settlers == [threading.current_thread().name]


def test_it_makes_one_call_of_what_came_while_one_ran(machine: Machine, callers: Callers) -> None:
    occupy(machine, callers)
    for item in "bcd":
        callers.start(item)
    machine.go.set()

    assert callers.join() == {"first": True, "b": True, "c": True, "d": True}
    assert machine.calls == [["first"], ["b", "c", "d"]]
    assert sorted(machine.settled) == [["b", "c", "d"], ["first"]]


def test_it_settles_in_the_thread_of_a_caller(machine: Machine, callers: Callers) -> None:
    occupy(machine, callers)
    callers.start("b")
    callers.start("c")
    machine.go.set()
    callers.join()

    assert sorted(machine.settlers) == ["caller b", "caller first"]


def test_it_batches_keys_separately(machine: Machine, callers: Callers) -> None:
    machine.hold()
    for item, key in (("a1", "a"), ("b1", "b"), ("a2", "a"), ("a3", "a"), ("b2", "b")):
        callers.start(item, key=key)
    machine.go.set()
    callers.join()

    assert sorted(machine.calls) == [["a1"], ["a2", "a3"], ["b1"], ["b2"]]


def test_it_calls_one_key_while_a_call_of_another_runs(machine: Machine, callers: Callers) -> None:
    occupy(machine, callers)
    callers.start("other", key="another")

    wait_until(lambda: machine.calls == [["first"], ["other"]])
    machine.go.set()
    assert callers.join() == {"first": True, "other": True}


def test_it_calls_alone_what_is_to_be_alone(machine: Machine, callers: Callers) -> None:
    occupy(machine, callers)
    for item, is_alone in (("b", True), ("c", False), ("d", True), ("e", False)):
        callers.start(item, is_alone=is_alone)
    machine.go.set()
    callers.join()

    assert machine.calls == [["first"], ["b"], ["c", "e"], ["d"]]


def test_it_sends_away_who_waits_behind_a_long_call(machine: Machine) -> None:
    """Who is in the call itself waits on, and who comes afterwards is served as usual."""
    batcher = MicroBatcher[Any](
        machine.call, machine.settle, most_waiting=10, most_weight=lambda _key: 100, long_call_seconds=0.2
    )
    callers = Callers(batcher, machine)
    occupy(machine, callers)
    callers.start("behind")
    wait_until(lambda: callers.results.get("behind") is False)
    assert callers.results == {"behind": False}
    machine.go.set()
    callers.start("next")

    assert callers.join() == {"first": True, "behind": False, "next": True}
    assert machine.calls == [["first"], ["next"]]


def test_it_closes_a_line_that_nobody_uses(
    machine: Machine, micro_batcher: MicroBatcher[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(micro_batching, "_IDLE_SECONDS", 0.05)

    assert micro_batcher.submit("a", key="version", weight=1, timeout_seconds=PATIENCE)
    wait_until(lambda: not micro_batcher._lines)
    assert micro_batcher.submit("b", key="version", weight=1, timeout_seconds=PATIENCE)


def test_it_bounds_the_weight_of_a_call(machine: Machine, callers: Callers) -> None:
    occupy(machine, callers)
    for item, weight in (("b", 60), ("c", 60), ("d", 40)):
        callers.start(item, weight=weight)
    machine.go.set()
    callers.join()

    assert machine.calls == [["first"], ["b", "d"], ["c"]]


def test_it_calls_alone_what_is_heavier_than_a_call_may_be(machine: Machine, callers: Callers) -> None:
    occupy(machine, callers)
    callers.start("heavy", weight=1000)
    callers.start("light")
    machine.go.set()
    callers.join()

    assert machine.calls == [["first"], ["heavy"], ["light"]]


def test_it_refuses_more_than_may_wait(machine: Machine, callers: Callers, micro_batcher: MicroBatcher[Any]) -> None:
    occupy(machine, callers)
    for item in range(10):
        callers.start(item)

    with pytest.raises(Overfull, match="10"):
        micro_batcher.submit("one too many", key="version", weight=1, timeout_seconds=PATIENCE)

    machine.go.set()
    assert set(callers.join().values()) == {True}
    assert "one too many" not in machine.calls[1]


def test_it_lets_a_caller_go_who_waited_long_enough(machine: Machine, callers: Callers) -> None:
    occupy(machine, callers)
    callers.start("impatient", timeout=0.01)
    callers.start("patient")
    wait_until(lambda: callers.results.get("impatient") is False)
    machine.go.set()
    callers.join()

    assert machine.calls == [["first"], ["patient"]]


def test_it_settles_nothing_for_a_caller_who_left_during_the_call(machine: Machine, callers: Callers) -> None:
    machine.hold()
    callers.start("impatient", timeout=0.05)
    wait_until(lambda: callers.results.get("impatient") is False)
    machine.go.set()
    callers.start("next")
    callers.join()

    assert machine.calls == [["impatient"], ["next"]]
    assert machine.settled == [["next"]]


def test_it_lets_another_settle_when_the_first_has_left(machine: Machine, callers: Callers) -> None:
    def wait_for_the_impatient(items: Sequence[Any]) -> None:
        if "impatient" in items:
            wait_until(lambda: "impatient" in callers.results)

    machine.fail = wait_for_the_impatient
    occupy(machine, callers)
    callers.start("impatient", timeout=0.5)
    callers.start("patient")
    machine.go.set()

    assert callers.join() == {"first": True, "impatient": False, "patient": True}
    assert machine.calls[1] == ["impatient", "patient"]
    assert sorted(machine.settled) == [["first"], ["patient"]]
    assert sorted(machine.settlers) == ["caller first", "caller patient"]


def test_it_waits_for_the_end_of_settling_whatever_the_time(machine: Machine, callers: Callers) -> None:
    """What is being stored has been decided: the caller gets it, a moment late."""
    is_settling, may_settle = threading.Event(), threading.Event()

    def slow(_: Sequence[Any]) -> None:
        is_settling.set()
        assert may_settle.wait(PATIENCE)

    occupy(machine, callers)
    callers.start("b", timeout=PATIENCE)
    callers.start("c", timeout=0.5)
    machine.fail_settling = slow
    machine.go.set()
    assert is_settling.wait(PATIENCE)
    time.sleep(0.6)
    may_settle.set()

    assert callers.join() == {"first": True, "b": True, "c": True}


def test_it_raises_to_every_caller_of_a_call_that_failed_and_to_none_of_the_next(
    machine: Machine, callers: Callers
) -> None:
    def fail(items: Sequence[Any]) -> None:
        if "b" in items:
            raise SystemExit("the model ended the process")

    machine.fail = fail
    occupy(machine, callers)
    callers.start("b")
    callers.start("c")
    callers.start("other", key="other")
    machine.go.set()

    results = callers.join()
    assert isinstance(results["b"], CallEnded)
    assert "SystemExit: the model" in str(results["b"])
    assert str(results["c"]) == str(results["b"])
    assert results["other"] is True


@pytest.mark.parametrize("step", ["fail", "fail_settling"])
def test_it_raises_an_exception_of_its_own_to_each_caller(machine: Machine, callers: Callers, step: str) -> None:
    def fail(items: Sequence[Any]) -> None:
        if "b" in items:
            raise ConnectionError("no database")

    setattr(machine, step, fail)
    occupy(machine, callers)
    for item in "bcd":
        callers.start(item)
    machine.go.set()

    errors = [callers.join()[item] for item in "bcd"]
    assert {str(error) for error in errors} == {"no database"}
    assert len({id(error) for error in errors}) == 3
    for error in errors:
        assert [frame.name for frame in traceback.extract_tb(error.__traceback__)].count("submit") == 2


def test_it_waits_for_those_who_are_on_the_way(
    machine: Machine, micro_batcher: MicroBatcher[Any], callers: Callers
) -> None:
    """One who approaches while a call runs takes part in the next, although another stood in line before."""
    line_with_last_call_of(micro_batcher, PATIENCE)
    has_approached, may_submit = threading.Event(), threading.Event()

    def approach() -> None:
        with micro_batcher.approach():
            has_approached.set()
            assert may_submit.wait(PATIENCE)
            micro_batcher.submit("late", key="version", weight=1, timeout_seconds=PATIENCE)

    thread = threading.Thread(target=approach)
    thread.start()
    assert has_approached.wait(PATIENCE)
    callers.start("early")
    may_submit.set()
    callers.join()
    thread.join(PATIENCE)

    assert machine.calls == [["early", "late"]]


def test_it_never_waits_longer_than_a_call_takes(machine: Machine, micro_batcher: MicroBatcher[Any]) -> None:
    """A caller that approaches and never arrives delays no other for long."""
    with micro_batcher.approach():
        assert micro_batcher.submit("a", key="version", weight=1, timeout_seconds=PATIENCE)

    may_leave = threading.Event()

    def approach_only() -> None:
        with micro_batcher.approach():
            assert may_leave.wait(PATIENCE)

    thread = threading.Thread(target=approach_only)
    thread.start()
    started = time.monotonic()
    assert micro_batcher.submit("b", key="version", weight=1, timeout_seconds=PATIENCE)
    assert time.monotonic() - started < PATIENCE / 2
    may_leave.set()
    thread.join(PATIENCE)


def test_it_waits_for_no_caller_that_left(machine: Machine, micro_batcher: MicroBatcher[Any]) -> None:
    with micro_batcher.approach():
        micro_batcher.turn_away()
        micro_batcher.turn_away()
        assert micro_batcher._on_the_way == 0

    assert micro_batcher._on_the_way == 0
    assert micro_batcher.submit("a", key="version", weight=1, timeout_seconds=PATIENCE)


def test_it_survives_that_all_have_left_while_it_waits_for_others(
    machine: Machine, micro_batcher: MicroBatcher[Any], callers: Callers
) -> None:
    line = line_with_last_call_of(micro_batcher, 0.5)
    may_leave = threading.Event()

    def approach_only() -> None:
        with micro_batcher.approach():
            assert may_leave.wait(PATIENCE)

    approaching = threading.Thread(target=approach_only)
    approaching.start()
    wait_until(lambda: micro_batcher._on_the_way == 1)
    assert micro_batcher.submit("impatient", key="version", weight=1, timeout_seconds=0.01) is False
    time.sleep(0.6)  # the wait for those on the way is over
    may_leave.set()
    approaching.join(PATIENCE)

    assert micro_batcher.submit("next", key="version", weight=1, timeout_seconds=PATIENCE)
    assert micro_batcher._lines == {"version": line}
    assert machine.calls == [["next"]]


def test_it_tells_for_how_long_the_present_call_runs(
    machine: Machine, micro_batcher: MicroBatcher[Any], callers: Callers
) -> None:
    assert micro_batcher.seconds_in_call("version") == 0
    occupy(machine, callers)
    wait_until(lambda: micro_batcher.seconds_in_call("version") > 0.01)
    machine.go.set()
    callers.join()

    wait_until(lambda: micro_batcher.seconds_in_call("version") == 0)


def test_it_serves_everybody_exactly_once_under_load(machine: Machine) -> None:
    micro_batcher: MicroBatcher[Any] = MicroBatcher(
        machine.call, machine.settle, most_waiting=1000, most_weight=lambda _key: 7
    )
    results: list[bool] = []

    def many(caller: int) -> None:
        for number in range(40):
            with micro_batcher.approach():
                options: dict[str, Any] = {"weight": 1, "is_alone": number % 10 == 0}
                results.append(
                    micro_batcher.submit((caller, number), key=number % 2, timeout_seconds=PATIENCE, **options)
                )

    threads = [threading.Thread(target=many, args=(caller,)) for caller in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()

    called = machine.called()
    assert results == [True] * 480
    assert len(called) == len(set(called)) == 480
    assert sorted(item for items in machine.settled for item in items) == sorted(called)
