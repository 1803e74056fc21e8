"""django-q2 brokers: where wake-ups lie until a worker takes them. settings.py picks one by its name.

They share how they wait, so that no process outlives its cluster, a stop needs not wait for a wait, and a queue that
does not answer is waited for instead of ending the process.
"""

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

from django.db import Error as DatabaseError
from django.db import close_old_connections
from django_q.brokers import Broker
from django_q.brokers.orm import ORM
from django_q.conf import Conf

from mlserve.errors import MlserveError
from mlserve.processes.orphans import end_with_parent
from predictions.queue import heartbeat, wake_ups
from predictions.queue.local_socket import LocalWakeUpSocket

log = logging.getLogger(__name__)

# A task as the cluster wants it: what acknowledges it, if anything does, and the signed package.
Task = tuple[Any, str]
# Between two tries at a queue that does not answer.
_PAUSE_SECONDS = 3.0
# Whether a worker has become idle.
_LOOK_EVERY_SECONDS = 0.02


class _WaitEnded(BaseException):
    """Not an Exception: no client of a queue may take it for a failure and try again."""


class _Wait:
    """The wait of the process that takes tasks: SIGTERM ends it, and it ends with the cluster."""

    def __init__(self) -> None:
        self._is_on = False
        self._pid = 0

    def begin(self) -> None:
        cluster = multiprocessing.parent_process()
        if cluster is None or threading.current_thread() is not threading.main_thread():
            return  # no process of a cluster
        if os.getppid() != cluster.pid:
            raise SystemExit("the cluster is gone")  # the tasks that it took would reach no worker
        if self._pid != os.getpid():
            self._pid = os.getpid()
            signal.signal(signal.SIGTERM, self._stop)
            end_with_parent(cluster.pid)
        self._is_on = True

    def end(self) -> None:
        self._is_on = False

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        if self._is_on:
            self._is_on = False
            raise _WaitEnded


class PatientBroker(Broker):  # type: ignore[misc]  # django-q2 has no types
    """What ours have in common. A kind of queue says how to `take` tasks."""

    _wait = _Wait()
    _is_answering = True
    # The cluster replaces it. A task that is taken while all workers are busy waits here, although another host may
    # have an idle one.
    has_idle_worker: Callable[[], bool] = staticmethod(lambda: True)

    def take(self) -> Sequence[Task]:
        """What there is, after waiting a while if need be. Raises MlserveError or a database's error."""
        raise NotImplementedError

    def dequeue(self) -> list[Task] | None:
        """What a worker has to do. None when there is nothing, or the queue does not answer."""
        try:
            self._wait.begin()
            if not self._has_somebody_for_a_task():
                return None
            taken = self._take_patiently()
        except _WaitEnded:
            return None
        finally:
            self._wait.end()
        kept = [task for task in taken if not self._is_handed_over(task)]
        if kept and not self.has_idle_worker():
            if wake_ups.has_listener():
                wake_ups.listener_socket().dismiss()  # a worker that only listens has time for it
            else:
                kept = [task for task in kept if not self._is_put_back(task)]
        return kept or None

    def _has_somebody_for_a_task(self) -> bool:
        """Waits for an idle worker, or for one that attends, for a while."""
        deadline = time.monotonic() + Conf.POLL
        while not (self.has_idle_worker() or wake_ups.has_listener()):
            if time.monotonic() > deadline:
                return False
            time.sleep(_LOOK_EVERY_SECONDS)
        return True

    def _take_patiently(self) -> Sequence[Task]:
        try:
            taken = self.take()
        except (MlserveError, DatabaseError) as error:
            if self._is_answering:
                log.error("The queue does not answer, trying on: %s", error)  # noqa: TRY400
            self._is_answering = False
            close_old_connections()
            time.sleep(_PAUSE_SECONDS)
            return ()
        if not self._is_answering:
            log.warning("The queue answers again")
        self._is_answering = True
        return taken

    def _is_put_back(self, task: Task) -> bool:
        """All workers became busy while this process waited; perhaps another host has one that is not."""
        acknowledgement, message = task
        try:
            self.enqueue(message)
        except (MlserveError, DatabaseError):
            return False
        self.acknowledge(acknowledgement)
        return True

    def _is_handed_over(self, task: Task) -> bool:
        """Whether a worker that attends does it, so that it need not wait until that worker takes its next task."""
        acknowledgement, message = task
        try:
            close_old_connections()
            is_done = wake_ups.notify_listening_worker(message, host=heartbeat.host_name())
        except DatabaseError as error:
            log.warning("A wake-up goes the long way: %s", error)
            return False
        if is_done:
            self.acknowledge(acknowledgement)
        return is_done


class LocalSocketOrmBroker(PatientBroker, ORM):  # type: ignore[misc]
    """django-q2's ORM broker, which waits at a local socket instead of sleeping between two looks at its table."""

    def __init__(self, list_key: str | None = None) -> None:
        super().__init__(list_key)
        self._local_socket = LocalWakeUpSocket(self.list_key)

    def __setstate__(self, state: Any) -> None:
        super().__setstate__(state)
        self._local_socket = LocalWakeUpSocket(self.list_key)

    def enqueue(self, task: str) -> Any:
        task_id = super().enqueue(task)
        self._local_socket.send()
        return task_id

    def take(self) -> Sequence[Task]:
        tasks = self._look()
        if not tasks:
            if self._local_socket.listen():
                self._local_socket.wait(Conf.POLL)
            else:
                time.sleep(Conf.POLL)
            tasks = self._look()
        return tasks

    def _look(self) -> Sequence[Task]:
        """The parent's dequeue without its sleep: one look at the table."""
        return (ORM.dequeue(self) or ()) if self.queue_size() else ()

    def acknowledge(self, task_id: str) -> None:
        """The process that records results would end, were this to raise."""
        try:
            super().acknowledge(task_id)
        except DatabaseError as error:
            log.warning("A task that is done will come again: %s", error)
            close_old_connections()

    def ping(self) -> bool:
        self.queue_size()
        return True


class SqsBroker(PatientBroker):
    """SQS, by clients that are made once. A queue that is missing is an error: `create_queue` makes it."""

    @staticmethod
    def get_connection(list_key: str | None = None) -> Any:  # noqa: ARG004 - django-q2's
        from predictions.queue import sqs_messages

        return sqs_messages

    def enqueue(self, task: str) -> Any:
        return self.connection.send(self.list_key, task)

    def take(self) -> Sequence[Task]:
        seconds = Conf.SQS["receive_message_wait_time_seconds"]
        messages = self.connection.receive(self.list_key, wait_seconds=seconds, hidden_seconds=Conf.RETRY)
        return [(message.receipt, message.body) for message in messages]

    def acknowledge(self, task_id: str) -> None:
        try:
            self.connection.delete(self.list_key, task_id)
        except MlserveError as error:
            log.warning("A message that is done will come again: %s", error)

    delete = fail = acknowledge

    def queue_size(self) -> int:
        return int(self.connection.depth_of(self.list_key).waiting)

    def lock_size(self) -> int:
        return int(self.connection.depth_of(self.list_key).in_flight)

    def ping(self) -> bool:
        self.queue_size()
        return True

    def info(self) -> str:
        return "SQS"


class RedisBroker(PatientBroker):
    """A list in Redis. What is taken from it is gone, so nothing is acknowledged."""

    @staticmethod
    def get_connection(list_key: str | None = None) -> Any:  # noqa: ARG004 - django-q2's
        from predictions.queue import redis_messages

        return redis_messages

    def enqueue(self, task: str) -> None:
        self.connection.push(Conf.REDIS, self.list_key, task)

    def take(self) -> Sequence[Task]:
        message = self.connection.pop(Conf.REDIS, self.list_key)
        return () if message is None else [(None, message)]

    def queue_size(self) -> int:
        return int(self.connection.length(Conf.REDIS, self.list_key))

    def lock_size(self) -> int:
        return 0

    def ping(self) -> bool:
        self.queue_size()
        return True

    def info(self) -> str:
        return "Redis"
