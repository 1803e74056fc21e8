"""`manage.py create_queue [NAME]`."""

from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.conf import settings

from mlserve.terminal import TerminalCommand
from predictions.queue import sqs_queues
from predictions.queue.sqs_queues import Made

# The longest that a function on Lambda may run.
_LONGEST_TIMEOUT_SECONDS = 900


class Command(TerminalCommand):
    help = (
        "Creates the SQS queue for wake-ups and the one for its dead letters: encrypted, reached by TLS only, with the "
        "times that the worker function needs. Existing queues are corrected."
    )
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        name = settings.Q_CLUSTER["name"]
        parser.add_argument(
            "name",
            nargs="?",
            default=name,
            metavar="NAME",
            help="of the queue (default: MLSERVE_QUEUE_NAME, %(default)s)",
        )
        parser.add_argument("--region", help="of AWS (default: AWS_DEFAULT_REGION)")
        parser.add_argument(
            "--worker-timeout",
            type=_timeout,
            default=sqs_queues.WORKER_TIMEOUT_SECONDS,
            metavar="SECONDS",
            help="of the worker function on Lambda; a message stays hidden six times as long (default: %(default)s)",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        for made in sqs_queues.create(
            options["name"], region=options["region"], worker_timeout_seconds=options["worker_timeout"]
        ):
            self.say(_sentence(made))


def _sentence(made: Made) -> str:
    if made.is_new:
        return f"Queue {made.name}: made."
    if made.corrected:
        return f"Queue {made.name}: there already. Corrected: it {'; it '.join(made.corrected)}."
    return f"Queue {made.name}: there already, as it should be."


def _timeout(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= _LONGEST_TIMEOUT_SECONDS:
        raise ArgumentTypeError(f"{text!r} is not a number of seconds from 1 to {_LONGEST_TIMEOUT_SECONDS}")
    return int(text)
