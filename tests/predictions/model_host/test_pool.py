"""Which process to start or to end next, of made-up ones."""

import socket
from math import inf
from typing import Any

import pytest

from predictions.model_host.peer import Peer
from predictions.model_host.pool import (
    Call,
    Limits,
    Model,
    ModelProcess,
    State,
    needs_process,
    not_needed,
    processes_of,
    to_evict,
)
from predictions.model_host.protocol import of_ours

MEGABYTE = 2**20
LIMITS = Limits(cache_bytes=100 * MEGABYTE, cores=2)
NOW = 1000.0


@pytest.fixture
def peer() -> Any:
    own, other = socket.socketpair()
    with own, other:
        yield Peer(own, of_ours())


def model(key: str = "a") -> Model:
    return Model(key, b"", artifact=-1, load_seconds=10)


def process(of: Model, peer: Peer, state: State, **facts: Any) -> ModelProcess:
    made = ModelProcess(of, peer, dump=-1, until=NOW, out_of_memory_before=0, state=state, **facts)
    of.processes.append(made)
    return made


def wait(of: Model, peer: Peer, seconds: float) -> None:
    """A call of it waits for so long already."""
    of.waiting.append(Call(peer, b"", seconds=10, queued_at=NOW - seconds, until=NOW + 10))


def test_it_starts_a_first_process_for_what_waits(peer: Peer) -> None:
    called, loaded, idle = model(), model(), model()
    wait(called, peer, 0)
    loaded.loading.append(peer)

    assert [needs_process(each, [each], LIMITS, NOW) for each in (called, loaded, idle)] == [True, True, False]


def test_it_starts_a_process_in_place_of_one_that_is_ending(peer: Peer) -> None:
    of = model()
    process(of, peer, State.ENDING)
    wait(of, peer, 0)

    assert needs_process(of, [of], LIMITS, NOW)


@pytest.mark.parametrize(
    ("state", "waits_seconds", "is_needed"),
    [
        (State.BUSY, 0.2, True),
        (State.BUSY, 0.01, False),
        (State.IDLE, 0.2, False),
        (State.LOADING, 0.2, False),
    ],
)
def test_it_starts_a_further_process_where_a_call_waits_for_long(
    peer: Peer, state: State, waits_seconds: float, is_needed: bool
) -> None:
    of = model()
    process(of, peer, state, size_bytes=10 * MEGABYTE)
    wait(of, peer, waits_seconds)

    assert needs_process(of, [of], LIMITS, NOW) is is_needed


def test_it_starts_no_further_process_where_no_core_is_idle(peer: Peer) -> None:
    of, other = model("a"), model("b")
    process(of, peer, State.BUSY)
    process(other, peer, State.BUSY)
    wait(of, peer, 1)

    assert not needs_process(of, [of, other], LIMITS, NOW)
    assert needs_process(of, [of], LIMITS, NOW)


def test_it_starts_no_further_process_where_memory_is_taken(peer: Peer) -> None:
    of, other = model("a"), model("b")
    process(of, peer, State.BUSY, size_bytes=30 * MEGABYTE)
    process(other, peer, State.IDLE, size_bytes=50 * MEGABYTE)
    wait(of, peer, 1)

    assert not needs_process(of, [of, other], LIMITS, NOW)
    assert needs_process(of, [of], LIMITS, NOW)


def test_it_evicts_least_recently_used_first_until_the_others_fit(peer: Peer) -> None:
    models = [model(str(number)) for number in range(5)]
    made = [
        process(each, peer, State.IDLE, size_bytes=40 * MEGABYTE, idle_since=NOW - number)
        for number, each in enumerate(models)
    ]

    assert to_evict(models, LIMITS) == [made[4], made[3], made[2]]


def test_it_evicts_nothing_while_all_fit(peer: Peer) -> None:
    of = model()
    process(of, peer, State.IDLE, size_bytes=100 * MEGABYTE, idle_since=NOW)

    assert to_evict([of], LIMITS) == []


def test_it_evicts_neither_what_is_busy_nor_what_was_used_last(peer: Peer) -> None:
    busy, last, before = model("a"), model("b"), model("c")
    process(busy, peer, State.BUSY, size_bytes=1000 * MEGABYTE)
    process(last, peer, State.IDLE, size_bytes=1000 * MEGABYTE, idle_since=NOW)
    evicted = process(before, peer, State.IDLE, size_bytes=MEGABYTE, idle_since=NOW - 1)
    process(before, peer, State.ENDING, size_bytes=1000 * MEGABYTE)

    assert to_evict([busy, last, before], LIMITS) == [evicted]


def test_it_ends_further_processes_that_were_idle_for_long(peer: Peer) -> None:
    of = model()
    last = process(of, peer, State.IDLE, idle_since=NOW - 40)
    first = process(of, peer, State.IDLE, idle_since=NOW - 50)

    assert list(not_needed(of, NOW)) == [first]
    assert of.idle() is last


def test_it_never_ends_the_only_process_for_being_idle(peer: Peer) -> None:
    of = model()
    process(of, peer, State.IDLE, idle_since=NOW - 10_000)

    assert list(not_needed(of, NOW)) == []


def test_it_keeps_a_further_process_that_is_used(peer: Peer) -> None:
    of = model()
    process(of, peer, State.BUSY)
    process(of, peer, State.IDLE, idle_since=NOW - 5)

    assert list(not_needed(of, NOW)) == []


def test_it_hands_nothing_to_a_process_whose_connection_ended(peer: Peer) -> None:
    of = model()
    process(of, peer, State.IDLE, idle_since=NOW, is_closed=True)

    assert of.idle() is None


@pytest.mark.parametrize(
    ("loaded", "now", "has_leaked"),
    [(10, 200, False), (10, 300, True), (1000, 1900, False), (1000, 2100, True)],
)
def test_it_takes_growth_to_more_than_twice_the_size_for_a_leak(
    peer: Peer, loaded: int, now: int, has_leaked: bool
) -> None:
    made = process(model(), peer, State.IDLE, loaded_bytes=loaded * MEGABYTE, size_bytes=now * MEGABYTE)

    assert made.has_leaked is has_leaked


@pytest.mark.parametrize(
    ("state", "seconds", "has_yielded", "takes_long"),
    [
        (State.BUSY, 0.9, False, False),
        (State.BUSY, 1.1, False, True),
        (State.LOADING, 1.1, False, False),
        (State.BUSY, 1.1, True, False),
        (State.IDLE, 1.1, False, False),
        (State.ENDING, 1.1, False, False),
    ],
)
def test_it_lets_others_go_before_what_takes_long(
    peer: Peer, state: State, seconds: float, has_yielded: bool, takes_long: bool
) -> None:
    made = process(model(), peer, state, begun_at=NOW - seconds, has_yielded=has_yielded)

    assert made.takes_long(NOW) is takes_long


def test_it_lists_the_processes_of_all(peer: Peer) -> None:
    models = [model("a"), model("b"), model("c")]
    made = [process(models[0], peer, State.BUSY), process(models[2], peer, State.IDLE)]

    assert list(processes_of(models)) == made


@pytest.mark.parametrize(("ran", "had"), [(10.0, True), (9.5, True), (5.0, False)])
def test_it_tells_whether_a_call_had_its_time(peer: Peer, ran: float, had: bool) -> None:
    made = process(model(), peer, State.IDLE)
    made.begin(Call(peer, b"", seconds=10.0, queued_at=NOW - 30, until=NOW + 5), NOW - ran, inf)

    assert made.had_its_time(NOW) is had
    assert made.until == min(NOW - ran + 10, NOW + 5)


def test_it_loads_some_at_a_time(peer: Peer) -> None:
    loading = [model() for _ in range(4)]
    for each in loading:
        process(each, peer, State.LOADING)
    wanted = model()
    wanted.loading.append(peer)

    assert not needs_process(wanted, [*loading, wanted], Limits(2**40, 2), NOW)
    assert needs_process(wanted, [*loading[1:], wanted], Limits(2**40, 2), NOW)
