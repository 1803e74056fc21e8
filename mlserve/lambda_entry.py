"""The entry point on Lambda: a table of the events that mlserve knows, and the function that answers each.

Zappa deploys mlserve, but its handler is not used: it deletes messages of queues that it does not know, calls a
function again with fewer arguments after any TypeError, runs code from events, and takes a fifth of the web function's
start time.
"""

import gc
import io
import logging
import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import django

from mlserve.processes.secret_memory import forget_variables, hide_memory

log = logging.getLogger(__name__)

Event = Mapping[str, Any]

# They run code that comes with the event, or wait for keyboard input.
_NOT_IN_A_FUNCTION = frozenset({"shell", "dbshell"})
# The settings have read them. AWS's own variables stay, for boto3 reads them again for each client.
_SECRETS = {
    "SECRET_KEY", "SECRET_KEY_FALLBACKS", "DATABASE_URL", "MLSERVE_QUEUE", "MLSERVE_METRICS_TOKEN", "SENTRY_DSN",
}  # fmt: skip


class UnknownEvent(Exception):
    """No row of KINDS is for such an event."""


class CommandFailed(Exception):
    """A command of manage.py was refused or failed."""


@dataclass(frozen=True)
class Kind:
    """One kind of events: how they are recognized, and the function that answers them."""

    is_one: Callable[[Event], bool]
    answer: Callable[[Event, Any], Any]


def lambda_handler(event: Event, context: Any) -> Any:
    """The function's return value for `event`. Raises UnknownEvent, CommandFailed."""
    for kind in KINDS:
        if kind.is_one(event):
            return kind.answer(event, context)
    raise UnknownEvent("It is no event of API Gateway, SQS or the schedule, no {'mlserve': 'vitals'} or {'manage': …}.")


def _respond(event: Event, context: Any) -> dict[str, Any]:
    from mlserve.aws_lambda.http import respond

    return respond(event, context)


def _is_delivery(event: Event) -> bool:
    records = event.get("Records")
    return bool(records) and all(record.get("eventSource") == "aws:sqs" for record in records or ())


def _deliver(event: Event, context: Any) -> dict[str, list[dict[str, str]]]:
    """An exception that left this function would count all messages of the delivery as failed, also completed ones."""
    try:
        from mlserve.aws_lambda.deliveries import handle_records

        return handle_records(event, context)
    except Exception:  # the boundary of the process: a module that cannot be imported, for instance
        log.exception("A delivery of %d messages failed", len(event["Records"]))
        return {"batchItemFailures": [{"itemIdentifier": record["messageId"]} for record in event["Records"]]}


def _sweep(_event: Event, _context: Any) -> None:
    from mlserve.aws_lambda.deliveries import handle_schedule

    handle_schedule()


def _tell_vitals(_event: Event, _context: Any) -> dict[str, Any]:
    from mlserve.operations.self_report import self_report

    return self_report()


def _manage(event: Event, _context: Any) -> dict[str, str]:
    """`{"manage": "migrate --no-input"}`, as `zappa manage` sends it: a command line as in a shell, or a list of words.

    The output is also printed, because `zappa manage` shows the end of the log.
    """
    words = event["manage"]
    arguments = shlex.split(words) if isinstance(words, str) else [str(word) for word in words]
    output = io.StringIO()
    try:
        _run(arguments, output)
    finally:
        print(output.getvalue(), flush=True)  # standard output is the log
    return {"output": output.getvalue()}


def _run(arguments: list[str], output: io.StringIO) -> None:
    """Raises CommandFailed, also for a command that would end the process."""
    from django.core.management import CommandError, call_command

    if not arguments or arguments[0] in _NOT_IN_A_FUNCTION:
        raise CommandFailed(f"manage: {' '.join(arguments[:1]) or 'no command'} does not run in a function.")
    try:
        call_command(*arguments, stdout=output, stderr=output)
    except CommandError as error:
        raise CommandFailed(f"{arguments[0]}: {error}") from error
    except SystemExit as left:
        if left.code:
            raise CommandFailed(f"{arguments[0]} ended with status {left.code}. {output.getvalue()}") from left


KINDS = (
    Kind(lambda event: "httpMethod" in event, _respond),
    Kind(_is_delivery, _deliver),
    Kind(lambda event: event.get("detail-type") == "Scheduled Event", _sweep),
    Kind(lambda event: event.get("mlserve") == "vitals", _tell_vitals),
    Kind(lambda event: "manage" in event, _manage),
)


def _load() -> None:
    """Load what the first event needs before it comes: Lambda gives a starting function more CPU than it charges for.

    Zappa names a function for its project and stage.
    """
    gc.disable()  # imports make little garbage, and collecting it takes a twelfth of their time
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mlserve.settings")
    django.setup(set_prefix=False)

    from django.conf import settings

    if settings.ON_LAMBDA:
        # Its kernel has no Landlock: a model's process, which runs as the same user, could look into this one.
        hide_memory()
        forget_variables(_SECRETS)

    from mlserve.observability import logs
    from mlserve.observability.monitoring import require_packages, start_monitoring

    require_packages()

    logs.name_process("lambda")
    start_monitoring()
    if os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "").endswith("-worker"):
        from predictions.runtime import host_access

        host_access.client()  # starts the model host, which imports libraries meanwhile
    else:
        from django.urls import get_resolver

        import mlserve.aws_lambda.http  # noqa: F401

        get_resolver().url_patterns  # noqa: B018 - reads every module of views
    gc.freeze()
    gc.enable()


_load()
