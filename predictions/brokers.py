"""django-q2 brokers: where wake-ups lie until a worker takes them."""

import multiprocessing
import os
import time
from typing import Any

from django_q.brokers.orm import ORM
from django_q.conf import Conf

from predictions.doorbell import Doorbell


class DoorbellOrmBroker(ORM):  # type: ignore[misc]  # django-q2 has no types
    """django-q2's ORM broker that hears a bell instead of sleeping between two looks at its table."""

    def __init__(self, list_key: str | None = None) -> None:
        super().__init__(list_key)
        self._bell = Doorbell(self.list_key)

    def __setstate__(self, state: Any) -> None:
        super().__setstate__(state)
        self._bell = Doorbell(self.list_key)

    def enqueue(self, task: str) -> Any:
        task_id = super().enqueue(task)
        self._bell.ring()
        return task_id

    def dequeue(self) -> list[tuple[Any, str]] | None:
        _end_as_orphan()
        tasks: list[tuple[Any, str]] | None = self._take()
        if tasks is None:
            if self._bell.listen():
                self._bell.wait(Conf.POLL)
            else:
                time.sleep(Conf.POLL)
            tasks = self._take()
        return tasks

    def _take(self) -> list[tuple[Any, str]] | None:
        """The parent's dequeue without its sleep: one look at the table."""
        if not self.queue_size():
            return None
        tasks: list[tuple[Any, str]] | None = super().dequeue()
        return tasks


def _end_as_orphan() -> None:
    """The process that takes tasks must not outlive its cluster: it would take them for nobody."""
    parent = multiprocessing.parent_process()
    if parent is not None and os.getppid() != parent.pid:
        raise SystemExit("the cluster is gone")
