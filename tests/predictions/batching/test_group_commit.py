"""Groups of items from many threads: who writes for whom, and that no caller is left waiting."""

import random
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence

import pytest

from predictions.batching.group_commit import GroupCommit
from tests.waiting import wait_until

PATIENCE_SECONDS = 20


class Store:
    """Records each group and the thread that wrote it. A write waits while `go` is cleared."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.writers: list[threading.Thread] = []
        self.go, self.is_writing = threading.Event(), threading.Event()
        self.go.set()
        self.refused: set[str] = set()

    def write(self, items: Sequence[str]) -> None:
        self.groups.append(list(items))
        self.writers.append(threading.current_thread())
        self.is_writing.set()
        assert self.go.wait(PATIENCE_SECONDS)
        if bad := self.refused & set(items):
            raise ValueError(f"refused: {sorted(bad)}")


class Callers:
    """Threads that add, and what each of them was told."""

    def __init__(self, group: GroupCommit[str]) -> None:
        self._group = group
        self._threads: dict[str, threading.Thread] = {}
        self.errors: dict[str, BaseException | None] = {}

    def add(self, *items: str) -> threading.Thread:
        def run() -> None:
            try:
                self._group.add(items)
            except (ValueError, SystemExit) as error:
                self.errors[items[0]] = error
            else:
                self.errors[items[0]] = None

        thread = threading.Thread(target=run, daemon=True)
        self._threads[items[0]] = thread
        thread.start()
        return thread

    def add_in_line(self, *items: str) -> threading.Thread:
        """Returns once the caller waits behind the present write."""
        before = len(self._group._gathered)
        thread = self.add(*items)
        wait_until(lambda: len(self._group._gathered) != before)
        return thread

    def join(self) -> None:
        for thread in self._threads.values():
            thread.join(PATIENCE_SECONDS)
        assert [name for name, thread in self._threads.items() if thread.is_alive()] == []


@pytest.fixture
def store() -> Iterator[Store]:
    store = Store()
    yield store
    store.go.set()


@pytest.fixture
def begin(store: Store) -> Callable[..., Callers]:
    """`begin(most_items=…)` makes the group commit; the store is in the midst of writing `first`."""

    def start(*, most_items: int = 100) -> Callers:
        callers = Callers(GroupCommit(store.write, most_items=most_items))
        store.go.clear()
        callers.add("first")
        assert store.is_writing.wait(PATIENCE_SECONDS)
        return callers

    return start


def test_it_lets_a_lone_caller_write_in_its_own_thread(store: Store) -> None:
    group: GroupCommit[str] = GroupCommit(store.write, most_items=10)

    group.add(["a", "b"])
    group.add(["c"])

    assert store.groups == [["a", "b"], ["c"]]
    assert set(store.writers) == {threading.current_thread()}


def test_it_returns_only_when_the_items_are_written(store: Store, begin: Callable[..., Callers]) -> None:
    callers = begin()
    callers.add_in_line("second")

    assert callers.errors == {}
    store.go.set()
    callers.join()
    assert callers.errors == {"first": None, "second": None}


def test_it_writes_together_what_came_during_a_write(store: Store, begin: Callable[..., Callers]) -> None:
    callers = begin()
    writer = callers.add_in_line("a", "b")
    for name in ("c", "d", "e"):
        callers.add_in_line(name)
    store.go.set()
    callers.join()

    assert store.groups == [["first"], ["a", "b", "c", "d", "e"]]  # in the order of arrival
    assert store.writers[1] is writer  # the first to come writes for the others


def test_it_goes_on_with_the_next_group_after_a_shared_one(store: Store, begin: Callable[..., Callers]) -> None:
    callers = begin(most_items=2)
    for name in ("a", "b", "c", "d", "e"):
        callers.add_in_line(name)
    store.go.set()
    callers.join()

    assert store.groups == [["first"], ["a", "b"], ["c", "d"], ["e"]]


def test_it_writes_as_many_groups_at_the_same_time_as_it_may(store: Store) -> None:
    group: GroupCommit[str] = GroupCommit(store.write, most_items=100, most_writers=2)
    callers = Callers(group)
    store.go.clear()
    for count, name in enumerate(("first", "second"), 1):
        callers.add(name)
        wait_until(lambda count=count: len(store.groups) == count)  # type: ignore[misc]
    for name in ("a", "b", "c"):
        callers.add_in_line(name)
    assert store.groups == [["first"], ["second"]]
    store.go.set()
    callers.join()

    assert store.groups == [["first"], ["second"], ["a", "b", "c"]]
    assert group._writers == 0


@pytest.mark.parametrize(
    ("shares", "groups"),
    [
        ([3, 3, 3, 3, 3], [9, 6]),
        ([4, 4, 2, 1], [10, 1]),
        ([4, 7, 1], [4, 8]),
        ([25, 1], [25, 1]),  # one caller's items are never split
        ([1, 25, 1], [1, 25, 1]),
    ],
)
def test_it_bounds_a_group_by_its_items(
    store: Store, begin: Callable[..., Callers], shares: list[int], groups: list[int]
) -> None:
    callers = begin(most_items=10)
    for number, size in enumerate(shares):
        callers.add_in_line(*(f"{number}-{position}" for position in range(size)))
    store.go.set()
    callers.join()

    assert [len(group) for group in store.groups[1:]] == groups
    assert set(callers.errors.values()) == {None}


def test_it_tells_every_caller_of_a_group_why_it_was_refused(store: Store, begin: Callable[..., Callers]) -> None:
    store.refused = {"b"}
    callers = begin(most_items=3)
    for name in ("a", "b", "c", "d", "e"):
        callers.add_in_line(name)
    store.go.set()
    callers.join()

    assert store.groups == [["first"], ["a", "b", "c"], ["d", "e"]]
    told = {name: str(error) for name, error in callers.errors.items() if error is not None}
    assert told == dict.fromkeys("abc", "refused: ['b']")
    assert set(callers.errors) == {"first", *"abcde"}


def test_it_raises_an_exception_of_its_own_to_each_caller(store: Store, begin: Callable[..., Callers]) -> None:
    """Else each thread would add its frames to the traceback that the others show at the same time."""
    store.refused = {"b"}
    callers = begin()
    for name in ("a", "b", "c"):
        callers.add_in_line(name)
    store.go.set()
    callers.join()

    errors = [error for error in callers.errors.values() if error is not None]
    original = callers.errors["a"]  # who came first has written
    assert len({id(error) for error in errors}) == 3
    assert all(error is original or error.__cause__ is original for error in errors)
    for error in errors:
        names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
        assert names.count("add") == 1


def test_it_does_not_punish_who_waits_for_the_error_before(store: Store, begin: Callable[..., Callers]) -> None:
    store.refused = {"first"}
    callers = begin()
    callers.add_in_line("a")
    callers.add_in_line("b")
    store.go.set()
    callers.join()

    assert isinstance(callers.errors.pop("first"), ValueError)
    assert callers.errors == {"a": None, "b": None}


def test_it_can_be_used_again_after_an_error(store: Store) -> None:
    store.refused = {"bad"}
    group: GroupCommit[str] = GroupCommit(store.write, most_items=10)

    with pytest.raises(ValueError, match="bad"):
        group.add(["bad"])
    group.add(["good"])

    assert store.groups == [["bad"], ["good"]]


def test_it_leaves_no_caller_waiting_when_a_writer_is_ended() -> None:
    """Also by what is no `Exception`, such as the SystemExit of a time limit."""
    go, is_writing = threading.Event(), threading.Event()

    def write(items: Sequence[str]) -> None:
        is_writing.set()
        assert go.wait(PATIENCE_SECONDS)
        if "first" in items:
            raise SystemExit("time is up")

    callers = Callers(GroupCommit(write, most_items=10))
    callers.add("first")
    assert is_writing.wait(PATIENCE_SECONDS)
    callers.add_in_line("a")
    go.set()
    callers.join()

    assert isinstance(callers.errors["first"], SystemExit)
    assert callers.errors["a"] is None


@pytest.mark.parametrize("seed", range(5))
def test_it_writes_everything_once_under_load(seed: int) -> None:
    """Many threads, at random moments and with random errors: each is told what happened to its own items."""
    written: list[int] = []
    is_writing = threading.Lock()

    def write(items: Sequence[int]) -> None:
        assert is_writing.acquire(blocking=False), "two groups were written at the same time"
        try:
            if random.Random(items[0] + seed).random() < 0.2:
                raise ValueError("refused")
            time.sleep(0.0001)
            written.extend(items)
        finally:
            is_writing.release()

    group: GroupCommit[int] = GroupCommit(write, most_items=8)
    stored: list[int] = []

    def call(first: int) -> None:
        chance = random.Random(first + seed)
        for number in range(20):
            start = first + 10 * number
            items = range(start, start + chance.randint(1, 5))
            try:
                group.add(items)
            except ValueError:
                continue
            stored.extend(items)

    threads = [threading.Thread(target=call, args=(1000 * number,), daemon=True) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)

    assert not any(thread.is_alive() for thread in threads)
    assert sorted(written) == sorted(stored)
    assert len(set(written)) == len(written)
    assert 0 < len(written) < 12 * 20 * 5


@pytest.mark.parametrize("seed", range(3))
def test_it_keeps_the_order_of_each_caller(seed: int) -> None:
    written: list[tuple[int, int]] = []
    group: GroupCommit[tuple[int, int]] = GroupCommit(written.extend, most_items=16)

    def call(caller: int) -> None:
        chance = random.Random(caller + seed)
        number = 0
        while number < 60:
            size = chance.randint(1, 4)
            group.add([(caller, number + position) for position in range(size)])
            number += size

    threads = [threading.Thread(target=call, args=(caller,), daemon=True) for caller in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)

    for caller in range(8):
        numbers = [number for who, number in written if who == caller]
        assert len(numbers) >= 60
        assert numbers == sorted(numbers)
