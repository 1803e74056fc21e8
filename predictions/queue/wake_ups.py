"""The only module that enqueues: it wakes a worker. A message never says more than "look at the table".

A worker of this host that listens is told by a local socket; where none listens, django-q2 carries the wake-up, and a
row of `PendingWakeUp` keeps there from being more than one. See ARCHITECTURE.md for why no prediction can be left
waiting.
"""

import logging
from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from typing import Any

from django.conf import settings
from django.db import DatabaseError, transaction
from django.db.models import Q
from django.utils import timezone

from mlserve.errors import Unavailable
from mlserve.prepared import Parameter, PreparedQuery
from predictions.models import PendingWakeUp
from predictions.queue.local_socket import LocalWakeUpSocket
from registry.models.direct_upload import inspection_task_seconds

log = logging.getLogger(__name__)

# Read after each commit where no worker of this host listens: Django would take longer to build it than to run it.
_RUNG_AT = PreparedQuery(
    lambda: PendingWakeUp.objects.filter(queue=Parameter("queue", PendingWakeUp._meta.pk)).values_list("sent_at")
)

# A wake-up that no worker cleared for so long was lost, for a drain that is due begins within milliseconds. So was one
# from so far in the future: a clock was ahead for a moment.
WAKE_UP_PATIENCE_SECONDS = 10
_SCHEDULE, _SWEEP_EVERY = "mlserve sweep", timedelta(minutes=1)
# Between the beginnings of two sweeps. django-q2 looks at its schedule twice a minute, so that of two sweeps that are
# due a minute apart the second may come after little more than half of it.
_LEAST_BETWEEN_SWEEPS = timedelta(seconds=30)
# Everything that a message may ask of a worker, without arguments: what is to be done stands in the tables.
TASKS = {
    "attend": "predictions.tasks.attend",
    "inspect": "predictions.tasks.inspect_uploads",
}
SWEEP = "predictions.tasks.sweep"
# How django-q2 shows a task by which a worker calls for help.
_BESIDE = "wake-up beside a worker of "
# By which a task of django-q2's would call something else, or with something.
_CALLING = ("args", "kwargs", "hook", "chain")
_MOST_SHOWN = 100


def wake_on_commit() -> None:
    """Wake a worker once the current transaction, if any, is committed."""
    transaction.on_commit(wake)


def wake() -> None:
    """See to it that some worker looks at the table after this moment.

    Never raises: the prediction is stored already, and the sweep finds it.
    """
    if not listener_socket().send():
        call_worker()


def call_worker(*, beside: str = "") -> bool:
    """Enqueue a task for another worker, unless one is on its way; whether this call did.

    `beside` is the host of a worker that calls for help while it attends: it must not be handed its own call.
    """
    try:
        if not _is_first(_queue_name(), timedelta(seconds=WAKE_UP_PATIENCE_SECONDS)):
            return False
        _enqueue(f"{_BESIDE}{beside}" if beside else "wake-up")
    except Unavailable as error:
        log.error("The queue did not take the wake-up; the sweep will. %s", error)  # noqa: TRY400
        return False
    except Exception:  # each broker has exceptions of its own, and none may undo an accepted prediction
        log.exception("The queue did not take the wake-up; the sweep will")
        return False
    return True


def call_inspector(**_: Any) -> None:
    """Enqueue the inspection of the next direct upload. Never raises: the sweep calls again while one waits."""
    from django_q.tasks import async_task

    try:
        async_task(TASKS["inspect"], timeout=inspection_task_seconds())
    except Exception:  # each broker has exceptions of its own, and none may undo an accepted upload
        log.exception("The queue did not take the call for an inspection; the sweep will call")


def task_asked_for(message: object) -> str | None:
    """The name in TASKS that a message asks for; None when it is not ours: unsigned, another task, or arguments."""
    package = _package(message)
    return next((name for name, function in TASKS.items() if function == package.get("func")), None)


class OwnTasks:
    """The cluster's tasks on their way to a worker, which gets ours only.

    django-q2 runs whatever function a row of its schedule names, so that write access to that table, in the admin or
    in the database, would be the right to run code as the service's user.
    """

    def __init__(self, tasks: Any) -> None:
        self._tasks = tasks

    def get(self) -> Any:
        """The next task, or what django-q2 sends to end a worker. In place of another task one that does nothing."""
        task = self._tasks.get()
        if not isinstance(task, dict) or _is_own(task):
            return task
        log.error("A task was refused, for it is none of ours: %s", str(task.get("func"))[:_MOST_SHOWN])
        # It must pass through the worker, or it would not be acknowledged and come again.
        harmless = {"func": f"{__name__}.do_nothing", "args": (), "kwargs": {}, "save": False}
        return {**{name: value for name, value in task.items() if name not in _CALLING}, **harmless}


def do_nothing() -> None:
    """What runs in place of a task that was refused."""


def notify_listening_worker(message: str, *, host: str) -> bool:
    """Let the worker of this host that attends do what a message asks for; False when none attends or it must not.

    A task would wait until that worker has listened long enough, and so would the prediction that it was sent for.
    """
    package = _package(message)
    if package.get("func") != TASKS["attend"] or package.get("name") == f"{_BESIDE}{host}" or not has_listener():
        return False
    # As a task would: first the pending wake-up is cleared, then the worker looks at the table.
    clear_pending_wake_up()
    return listener_socket().send()


def _package(message: object) -> dict[str, Any]:
    """django-q2's package, if it has our signature and no arguments; else an empty one."""
    from django_q.signing import BadSignature, SignedPackage

    try:
        package = SignedPackage.loads(message) if isinstance(message, str) else {}
    except BadSignature:
        return {}
    return package if isinstance(package, dict) and not package.get("args") and not package.get("kwargs") else {}


def _is_own(task: Mapping[str, Any]) -> bool:
    return task.get("func") in (*TASKS.values(), SWEEP) and not any(task.get(name) for name in _CALLING)


def clear_pending_wake_up() -> None:
    """Clear the pending wake-up. A worker calls it before it looks at the table, never after."""
    PendingWakeUp.objects.filter(queue=_queue_name()).exclude(sent_at=None).update(sent_at=None)


def has_listener() -> bool:
    """Whether a worker of this host attends at this moment."""
    return listener_socket().has_listener()


def listener_socket() -> LocalWakeUpSocket:
    """The socket at which a worker of this host listens for wake-ups. One object per process."""
    return _local_socket(settings.DATABASES["default"]["NAME"], _queue_name())


def ping() -> None:
    """Raise when the broker does not answer."""
    from django_q.brokers import get_broker

    get_broker().ping()


@cache
def _local_socket(_database: str, queue_name: str) -> LocalWakeUpSocket:
    return LocalWakeUpSocket(f"{queue_name} attending")


def claim_sweep() -> bool:
    """True for the one process of all hosts that is to sweep now. One that dies meanwhile needs no clean-up."""
    return _is_first(_SCHEDULE, _LEAST_BETWEEN_SWEEPS)


def _is_first(name: str, patience: timedelta) -> bool:
    """Compare-and-set: True for the one caller who changed an empty or stale time into the present one."""
    now = timezone.now()
    row = _RUNG_AT.first(queue=name)
    if row is not None and row[0] is not None and abs(now - row[0]) < patience:
        return False  # the usual case in a burst: one read, no write
    is_lost = Q(sent_at__lte=now - patience) | Q(sent_at__gte=now + patience)
    if PendingWakeUp.objects.filter(Q(sent_at=None) | is_lost, queue=name).update(sent_at=now):
        return True
    _, is_first = PendingWakeUp.objects.get_or_create(queue=name, defaults={"sent_at": now})
    return is_first


def _enqueue(name: str) -> None:
    from django_q.tasks import async_task

    async_task(TASKS["attend"], task_name=name)


def _queue_name() -> str:
    name: str = settings.Q_CLUSTER["name"]
    return name


def schedule_sweep(**_: Any) -> None:
    """Let django-q2 run the sweep every minute; at each `migrate`, so that no deployment lacks it."""
    from django_q.models import Schedule

    try:
        Schedule.objects.update_or_create(
            name=_SCHEDULE,
            defaults={"func": SWEEP, "schedule_type": Schedule.MINUTES, "minutes": 1},
        )
    except DatabaseError:
        log.warning("django-q2's tables are not there yet; the sweep is scheduled at the next migrate")


def keep_sweep_due() -> None:
    """A clock that was ahead for a moment has put the sweep off until that time comes: until tomorrow, or for years."""
    from django_q.models import Schedule

    now = timezone.now()
    Schedule.objects.filter(name=_SCHEDULE, next_run__gt=now + 2 * _SWEEP_EVERY).update(next_run=now)
