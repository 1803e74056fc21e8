"""Run django-q2's cluster in this process: workers, their guard, and failures that django-q2 does not handle.

Idle workers wait for tasks under a lock in shared memory. One that is killed there never releases it, and no worker
gets a task again, although all are alive. The process that stores results waits in the same way, and without it no task
counts as done. So when any of them is killed, this cluster ends, the supervisor starts another one, and predictions are
requeued by their leases. A worker that exceeds its time limit is only replaced.
"""

import logging
import signal
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from multiprocessing import Event, RLock, Value
from multiprocessing.process import BaseProcess
from typing import Any

from django.db import Error as DatabaseError
from django.db import close_old_connections
from django_q.cluster import Sentinel
from django_q.conf import Conf
from django_q.monitor import monitor
from django_q.scheduler import scheduler
from django_q.signals import post_spawn
from django_q.worker import worker

from mlserve.errors import QueueMissing, Unavailable
from mlserve.processes.orphans import end_with_parent
from predictions.metrics import totals
from predictions.models import Prediction
from predictions.queue import heartbeat, wake_ups
from predictions.worker import stopping
from registry.models.direct_upload import DirectUpload

log = logging.getLogger(__name__)

WORKER_DIED_STATUS = 75
_POLL_SECONDS = 0.05
# How long a worker whose time is up may take to end by itself.
_LAST_SECONDS = 2.0
# The value of a worker's timer while it waits for a task (django-q2's), and while no worker uses the timer (ours).
_IDLE, _UNUSED = -1, -4
_HEARTBEAT_SECONDS = 60.0
# A worker holds the lock of its timer briefly at the end of each task; after this long it must have been killed.
_LOCK_SECONDS = 10.0


class _TimerLock:
    """The lock of a worker's timer. A worker that is killed while it holds it never releases it, so waiting ends."""

    def __init__(self) -> None:
        self._lock = RLock()
        self.release = self._lock.release

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Raises SystemExit with WORKER_DIED_STATUS when it has waited too long."""
        is_patient = block and timeout is None
        is_mine = self._lock.acquire(block, _LOCK_SECONDS if is_patient else timeout)
        if is_patient and not is_mine:
            log.error("A worker was killed at the end of its task; starting the cluster anew")
            sys.exit(WORKER_DIED_STATUS)
        return is_mine

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


def _new_timer() -> Any:
    lock: Any = _TimerLock()
    return Value("f", _UNUSED, lock=lock)


class GuardedSentinel(Sentinel):  # type: ignore[misc]  # django-q2 has no types
    """django-q2's guard, which ends the cluster when one of its processes was killed from outside."""

    def start(self) -> None:
        """Ends if the queue is missing. If it only does not answer, its broker waits for it."""
        try:
            self.broker.ping()
        except QueueMissing as error:
            log.error("No worker can start: %s", error)  # noqa: TRY400
            sys.exit(1)
        except (Unavailable, DatabaseError) as error:
            log.warning("The workers start without their queue: %s", error)
        # Twice as many as workers, so that a worker never gets the timer of the one that it replaces.
        self._timers = [_new_timer() for _ in range(2 * self.pool_size)]
        self._leaving: Any = None
        self.spawn_cluster()
        # The guard runs the schedule after 30 seconds only, which a cluster that keeps crashing never reaches.
        scheduler(broker=self.broker)
        self.guard()

    def spawn_worker(self) -> None:
        in_use = [process.timer for process in self.pool] + [self._leaving]
        timer = next(timer for timer in self._timers if not any(timer is each for each in in_use))
        timer.value = _IDLE
        self.spawn_process(worker, wake_ups.OwnTasks(self.task_queue), self.result_queue, timer, self.timeout)

    def spawn_monitor(self) -> BaseProcess:
        process: BaseProcess = self.spawn_process(_store_results, self.result_queue, self.broker)
        return process

    def spawn_pusher(self) -> BaseProcess:
        """It takes no task while all workers of this host are busy, so that another host can take it."""
        self.broker.has_idle_worker = self._has_idle_worker
        process: BaseProcess = super().spawn_pusher()
        return process

    def _has_idle_worker(self) -> bool:
        """Also called in other processes. Reads timers without their locks, which workers hold at the end of a task."""
        return self.task_queue.empty() and any(timer.get_obj().value == _IDLE for timer in self._timers)

    def stop(self) -> None:
        """Stop without waiting for the broker to receive a message or time out, which may take 20 seconds."""
        self.event_out.set()
        while self.pusher.is_alive():
            self.pusher.terminate()  # ends its wait only (predictions/queue/brokers.py)
            self.pusher.join(_POLL_SECONDS)
        super().stop()

    def reincarnate(self, process: BaseProcess) -> None:
        """Replace a process that ended, or whose time is up. Raises SystemExit if the whole cluster has to be
        replaced.
        """
        timer = getattr(process, "timer", None)
        is_out_of_time = timer is not None and timer.value == 0
        if is_out_of_time:
            self._end_for_good(process)
        status = process.exitcode or 0  # negative: the signal that ended it
        if status < 0 and not is_out_of_time:
            what = "Worker" if timer is not None else "Helper"
            log.error("%s %s was killed (signal %s); starting the cluster anew", what, process.pid, -status)
            sys.exit(WORKER_DIED_STATUS)
        self._leaving = timer
        super().reincarnate(process)

    def _end_for_good(self, process: BaseProcess) -> None:
        """Kill a worker that hangs in a library: it does not handle the SIGTERM that django-q2 sends."""
        process.join(_LAST_SECONDS)
        if process.is_alive():
            process.kill()
            process.join(_LAST_SECONDS)

    def kill_what_is_left(self) -> None:
        """Kill the remaining processes. They ignore SIGTERM, no other process ends them, and this one would wait."""
        left = [each for each in (*self.pool, self.monitor, self.pusher) if each is not None and each.is_alive()]
        if not left:
            return
        pids = [each.pid for each in left if each in self.pool]
        for each in left:
            each.kill()
            each.join(5)
        _requeue_held_by(pids)


def _requeue_held_by(killed: Sequence[int]) -> None:
    """Predictions of workers that were killed because another one crashed keep their attempts."""
    holders = [f"{heartbeat.host_name()}:{pid}" for pid in killed]
    try:
        close_old_connections()
        for holder in holders:
            Prediction.objects.requeue_without_attempt(holder=holder)
        DirectUpload.objects.requeue_without_attempt(holders=holders)
    except DatabaseError as error:
        log.warning("Predictions of workers that were killed beside another one have lost an attempt: %s", error)


class _StopFlag:
    """The stop event of the guard, which a signal handler can set.

    multiprocessing's Event deadlocks when a handler sets it while the same thread waits for it.
    """

    def __init__(self, at_each_wait: Callable[[], None]) -> None:
        self._is_set = False
        self._at_each_wait = at_each_wait

    def set(self) -> None:
        self._is_set = True

    def is_set(self) -> bool:
        return self._is_set

    def wait(self, timeout_seconds: float) -> bool:
        self._at_each_wait()
        deadline = time.monotonic() + timeout_seconds
        while not self._is_set and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        return self._is_set


class _Heartbeat:
    """Record regularly that the workers of this host live: the sweep, which one host runs, cannot see those of others.

    It also corrects the schedule when a clock that was ahead has put the sweep off.
    """

    def __init__(self) -> None:
        self._due = time.monotonic() + _HEARTBEAT_SECONDS

    def __call__(self) -> None:
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + _HEARTBEAT_SECONDS
        try:
            close_old_connections()
            heartbeat.see_living_workers()
            wake_ups.keep_sweep_due()
        except DatabaseError as error:
            log.warning("It could not be recorded that the workers of this host live: %s", error)


def run_cluster(worker_count: int, *, when_spawned: Callable[[], None] = lambda: None) -> None:
    """Blocks until SIGTERM or SIGINT; then running batches finish, and what is queued stays queued.

    `when_spawned` runs in each new worker process.
    """

    def spawned(**_: Any) -> None:
        when_spawned()

    post_spawn.connect(spawned, weak=False, dispatch_uid="mlserve-spawned-worker")
    post_spawn.connect(_flush_totals, dispatch_uid="mlserve-flush-totals")
    stop = _StopFlag(_Heartbeat())
    sentinel = GuardedSentinel(stop, Event(), uuid.uuid4(), timeout=Conf.TIMEOUT, start=False)
    sentinel.pool_size = worker_count

    stopping.ask(False)

    def ask_to_stop(*_: Any) -> None:
        stop.set()
        stopping.ask()
        wake_ups.listener_socket().dismiss()  # without this, a listening worker would delay the end by seconds

    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGINT, ask_to_stop)
    try:
        sentinel.start()
    finally:
        sentinel.kill_what_is_left()


def _store_results(result_queue: Any, broker: Any) -> None:
    """django-q2's monitor, which stores results; ends with its cluster."""
    end_with_parent(by=signal.SIGKILL)
    monitor(result_queue, broker)


def _flush_totals(**_: Any) -> None:
    """Runs in each new worker process (django-q2's `post_spawn`)."""
    totals.flush_by_itself()
