"""The workloads: each function puts one load on one system and returns one round of numbers."""

import threading
import time
from collections.abc import Sequence

from benchmark import processes
from benchmark.asking import check_all, poll_until_done, repeated, requests_of
from benchmark.client import Answer, Client
from benchmark.dialects import Waiting
from benchmark.example import Example
from benchmark.figures import Values, latencies
from benchmark.systems import System

_DIFFERENT_REQUESTS = 200
_MANY_ROWS = 10_000
_LOOK_AT_MEMORY_SECONDS = 0.25
_REST_SECONDS = 1.0


def sync(system: System, *, rows: int, connections: int, seconds: float) -> Values:
    """Each connection sends its next request when the last one is answered."""
    count = min(_DIFFERENT_REQUESTS, _MANY_ROWS // rows)
    requests = requests_of(system.waiting, system.example, rows=rows, count=count)
    with Client(system.port, connections=connections) as client:
        answers = client.run(repeated(requests, seconds=seconds))
    check_all(answers, system.waiting, system.example, rows=rows)
    rate = len(answers) / _seconds(answers)
    return {
        "requests": len(answers),
        "requests_per_s": rate,
        "rows_per_s": rate * rows,
        **latencies([answer.took_ns for answer in answers]),
    }


def sync_watched(system: System, *, rows: int, connections: int, seconds: float) -> tuple[Values, Values]:
    """As `sync`, and the CPU seconds that the client and each process of the system used meanwhile.

    The system's CPU time per request depends less than the rates do on what else the machine is doing.
    """
    pids = system.pids
    before, client_before = processes.cpu_seconds(pids), time.process_time()
    values = sync(system, rows=rows, connections=connections, seconds=seconds)
    client_seconds = time.process_time() - client_before
    used = {pid: after - before.get(pid, 0.0) for pid, after in processes.cpu_seconds(pids).items()}
    by_name = {f"{pid} {processes.command(pid)}": seconds for pid, seconds in used.items() if seconds >= 0.01}
    values["cpu_ms_per_request"] = 1e3 * sum(used.values()) / values["requests"]
    return values, {"client": client_seconds, **by_name}


def async_one_by_one(system: System, *, submissions: int) -> Values:
    """Submit one row, poll every 5 ms until its result is there, then submit the next one."""
    requests = requests_of(system.polling, system.example, rows=1, count=submissions)
    with Client(system.port, connections=1) as client:
        took = []
        for request in requests:
            accepted = client.run([request])
            seen = poll_until_done(client, system.polling, system.example, accepted)
            took.append(seen[-1].received_ns - accepted[0].sent_ns)
    return latencies(took)


def async_burst(system: System, *, submissions: int) -> Values:
    """Submissions of one row over 32 connections; the last one awaited; then all of them fetched.

    Polling 2,000 unfinished predictions at once would measure how well a server starves its own workers: it costs
    Celery more than half of its results per second, mlserve nothing.
    """
    requests = requests_of(system.polling, system.example, rows=1, count=submissions)
    with Client(system.port, connections=32) as client:
        accepted = client.run(requests)
        awaited = poll_until_done(client, system.polling, system.example, accepted[-1:])
        seen = [*awaited, *poll_until_done(client, system.polling, system.example, accepted[:-1])]
    return {
        "results_per_s": submissions / _seconds([*accepted, *seen]),
        "accepted_per_s": submissions / _seconds(accepted),
        "polls": len(seen),
    }


def async_many_rows(system: System) -> Values:
    """10,000 rows in one submission, polled until the result is there."""
    requests = requests_of(system.polling, system.example, rows=_MANY_ROWS, count=1)
    with Client(system.port, connections=1) as client:
        accepted = client.run(requests)
        seen = poll_until_done(client, system.polling, system.example, accepted)
    seconds = _seconds([*accepted, *seen])
    return {"seconds": seconds, "accepted_seconds": _seconds(accepted), "rows_per_s": _MANY_ROWS / seconds}


def cold_start(system: System) -> Values:
    """Stop the system, start it again: seconds from the first process to the first right answer."""
    system.stop()
    started = time.perf_counter()
    system.start()
    return {"seconds": time.perf_counter() - started}


def memory(system: System, *, seconds: float) -> Values:
    """Memory of all processes of a system that is started for this: idle, then the maximum under load.

    No other system may run, or PSS would count the libraries that both load as halves.
    """
    system.start()
    time.sleep(_REST_SECONDS)
    idle, load = processes.memory(system.pids), _memory_under_load(system, seconds=seconds)
    system.stop()
    return {
        "idle_pss_mb": idle.pss_mb,
        "idle_rss_mb": idle.rss_mb,
        "load_pss_mb": load.pss_mb,
        "load_rss_mb": load.rss_mb,
    }


def _memory_under_load(system: System, *, seconds: float) -> processes.Memory:
    seen = [processes.memory(system.pids)]
    done = threading.Event()

    def look() -> None:
        while not done.wait(_LOOK_AT_MEMORY_SECONDS):
            seen.append(processes.memory(system.pids))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        put_under_load(system, seconds=seconds)
    finally:
        done.set()
        watcher.join()
    return max(seen, key=lambda memory: memory.pss_mb)


def put_under_load(system: System, *, seconds: float) -> None:
    """One row and 32 connections; where a caller cannot wait for an answer, bursts."""
    end = time.monotonic() + seconds
    if system.can_wait:
        sync(system, rows=1, connections=32, seconds=seconds)
        return
    while time.monotonic() < end:
        async_burst(system, submissions=200)


def ceiling(port: int, dialect: Waiting, example: Example, *, seconds: float) -> Values:
    """The speed of the client itself, with the same requests, at a server that does nothing."""
    requests = requests_of(dialect, example, rows=1, count=_DIFFERENT_REQUESTS)
    with Client(port, connections=32) as client:
        answers = client.run(repeated(requests, seconds=seconds))
    return {"requests_per_s": len(answers) / _seconds(answers), **latencies([answer.took_ns for answer in answers])}


def _seconds(answers: Sequence[Answer]) -> float:
    """From the first request to the last answer."""
    first, last = min(answer.sent_ns for answer in answers), max(answer.received_ns for answer in answers)
    return (last - first) / 1e9
